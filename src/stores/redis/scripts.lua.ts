import { MARK_MS } from '../../core/store.js';
import { FORMAT_VERSION } from '../shared/record-fields.js';
import { FIXED_LENGTH, LENGTH_DIGITS, PLACES, PREVIOUS, TAGS } from './layout.js';
import { NOT_COUNTED, retentionText } from './record.js';

/**
 * The scripts. Each is one atomic step on KEYS[1] that judges time by the server's clock. They run unchanged on
 * Redis 6.2 and later, on Valkey (Lua 5.1) and on ioredis-mock (Lua 5.3 with integers of 32 bits): hence times and
 * fences are compared as text of fixed width, arithmetic on them is on floats, and tables are literals.
 *
 * `v` is the value at the key. Where its fields stand comes from `redis-layout.ts`.
 */
type Field = keyof typeof PLACES;

/** The Lua expression for a field of the record in a variable, `v` unless told otherwise. */
const f = (name: Field, of = 'v'): string => `sub(${of},${PLACES[name][0] + 1},${PLACES[name][1]})`;
/** The Lua expression for `v` from the start of one field to the end of another. */
const span = (from: Field, to: Field, of = 'v'): string =>
  `sub(${of},${PLACES[from][0] + 1},${PLACES[to][1]})`;
const h = (name: Field): string => f(name, 'head');

/** Where fields stand in the head that a claim sends, in the order of a record without what only the server knows: {@link CLAIM}. */
const CLAIMS = { digest: [6, 11], token: [12, 27], retention: [28, 34], extra: 41, extras: 45 } as const;
/** Where fields stand in the tail that a write sends: retention, hits, extra, extras, payload. */
const TAIL_EXTRA = [
  PLACES.extra[0] - PLACES.retention[0] + 1,
  PLACES.extra[1] - PLACES.retention[0],
] as const;
const TAIL_EXTRAS = TAIL_EXTRA[1] + 1;

const WORD = '[%w_-]';
/** A header that may be replaced: whatever looks otherwise is left alone, and the client says so. */
const SANE = `'^${FORMAT_VERSION}[PCFRT][rcb][vnpVNP][-saw]${WORD.repeat(6)}${'%d'.repeat(20)}%w%w%w${WORD.repeat(16)}${'%d'.repeat(13)}${'%w'.repeat(7)}${'%d'.repeat(10)}'`;
const IS_FOREIGN = `${f('version')}~='${FORMAT_VERSION}' or #v<${FIXED_LENGTH}`;

/**
 * `now` is in ms and `micros` in µs, both as text; `ms` is a number. TIME of ioredis-mock rounds its seconds and takes
 * its microseconds from another clock; what an expiry is counted from is its only sound one.
 */
const NOW = `
local t=redis.call('TIME')
local sec,us=t[1],sub('00000'..t[2],-6)
if not redis.sha1hex then
  local probe=KEYS[1]..':clock'
  redis.call('SET',probe,'1','PX','60000')
  local at=redis.call('PEXPIRETIME',probe)-60000
  redis.call('DEL',probe)
  sec=string.format('%.0f',math.floor(at/1000)) us=string.format('%06.0f',at%1000*1000)
end
local now=sec..sub(us,1,3)
`;
const CLOCK = `${NOW}
local micros=sec..us
local ms=sec*1000.0+sub(us,1,3)
`;

/** The next fence over the record in `v`: G5. */
const NEXT_FENCE = `
local fence=micros
if ${f('fence')}>=micros then fence=string.format('%016.0f',tonumber(${f('fence')})+1) end
`;

/**
 * The answer about a record as one string, which costs both sides less than an array: `E`, the clock in µs, PTTL, the hits
 * that were just counted, and the value. Of a final record of ours all is known without the clock: `F`, the hits, the value.
 */
const told = (hits = `'${NOT_COUNTED}'`): string =>
  `'E'..micros..string.format('%13.0f',redis.call('PTTL',KEYS[1]))..${hits}..v`;

/** Where the steps begin, and the steps with their end: an upper-case flag says that there are some. */
const STEPS = `
local function bodyAt(v) return ${FIXED_LENGTH + 1}+(tonumber(${f('extra')}) or 0) end
local function stepsOf(v)
  if not string.find(${f('body')},'%u') then return '' end
  local at=bodyAt(v)
  local _,last=string.find(v,'\\n\\n',at,true)
  return sub(v,at,last)
end
`;

/** The token of the attempt before, or nothing. */
const PREVIOUS_TOKEN = `local function previousOf(v) return ${f('ended')}~='-' and sub(v,${PREVIOUS[0] + 1},${PREVIOUS[1]}) end
`;

/**
 * The optional fields of a record behind the token of its previous attempt: all but those whose tags are in `drop`. When the
 * attempt began is among them also where the record left it to its fence: the new record has another fence. The second answer
 * is when the first attempt of the key began.
 */
const EXTRAS = `
local widths={${Object.entries(TAGS)
  .map(([tag, width]) => `${tag}=${width ?? 0}`)
  .join()}}
local function extrasOf(v,drop)
  local at=${FIXED_LENGTH + 1}
  if ${f('ended')}~='-' then at=${PREVIOUS[1] + 1} end
  local last=${FIXED_LENGTH}+(tonumber(${f('extra')}) or 0)
  local kept,started,created='','S'..sub(${f('fence')},1,13),nil
  while at<=last do
    local tag=sub(v,at,at)
    local width=widths[tag] or 0
    local to=at+width
    if width==0 then to=at+${LENGTH_DIGITS}+(tonumber(sub(v,at+1,at+${LENGTH_DIGITS})) or last) end
    if tag=='C' then created=sub(v,at,to) end
    if tag=='S' then started=sub(v,at,to)
    elseif not string.find(drop,tag,1,true) then kept=kept..sub(v,at,to) end
    at=to+1
  end
  return started..kept,created or 'C'..sub(started,2)
end
local function counted(extras) return string.format('%04d',#extras)..extras end
`;

/**
 * Changes nothing, but counts as a write: WAIT of Redis 7.2 and later waits for the connection's own writes only, and what
 * this answer relies on may have been written over another one.
 */
const TOUCH = `redis.pcall('SETRANGE',KEYS[1],0,'${FORMAT_VERSION}')`;

const WAKE = `redis.pcall('PUBLISH',KEYS[1],'1')`;

/**
 * ARGV: version, 'P', rule, 'n-', digest, token, retention, no hits, extra and extras, all in one; lease ms, ttl ms; the token to
 * replace, where there is one. Answers the new header and the recorded steps when the lease was won, else what stands there
 * (`told`). Over absence, which is what most claims meet, the new record is the head with three fields put in.
 */
const CLAIM = `
local sub=string.sub
local head=ARGV[1]
local v=redis.call('GET',KEYS[1])
local status,ours
if v then
  status=${f('status')}
  ours=not (${IS_FOREIGN}) and ${f('digest')}==sub(head,${CLAIMS.digest.join()})
  if ours and (status=='C' or status=='F') then
    local hits=tonumber(string.match(${f('hits')},'^%d+$'))
    if hits and hits<999999 then
      hits=string.format('%06d',hits+1)
      if type(redis.pcall('SETRANGE',KEYS[1],${PLACES.hits[0]},hits))=='number' then return 'F'..hits..v end
    end
    return 'F${NOT_COUNTED}'..v
  end
end
${CLOCK}
if v and not ours then return ${told()} end
local ends=string.format('%.0f',ms+ARGV[2])
if not v then
  local made=sub(head,1,${CLAIMS.digest[1]})..micros..'0001000'..sub(head,${CLAIMS.token.join()})..ends..sub(head,${CLAIMS.retention[0]})
  redis.call('SET',KEYS[1],made,'PX',ARGV[3])
  return made
end
local token,replacing=sub(head,${CLAIMS.token.join()}),ARGV[4]
${STEPS}
${PREVIOUS_TOKEN}
local owner=${f('token')}
if status=='P' and owner==token then
  redis.call('SETRANGE',KEYS[1],${PLACES.time[0]},ends)
  redis.call('PEXPIRE',KEYS[1],ARGV[3])
  local at=bodyAt(v)
  return ${span('version', 'token')}..ends..sub(v,${PLACES.retention[0] + 1},at-1)..stepsOf(v)
end
local ttl=redis.call('PTTL',KEYS[1])
local open=status=='T' or owner==replacing and (status=='R' or status=='P' and ${f('time')}<=now)
if not open or owner==token or previousOf(v)==token or not string.find(v,${SANE}) then return ${told()} end
${NEXT_FENCE}
${EXTRAS}
local own=sub(head,${CLAIMS.extras})
if fence~=micros then own='S'..now..own end
local body=ttl<0 and '9999999999999' or string.format('%.0f',ms+ttl)
local steps=''
local made
if status=='T' then
  -- The mark of a withdrawn token says that a record was restored, and this one is new.
  local ended,previous=${f('ended')},previousOf(v)
  if ended=='w' or not previous then ended,previous='-','' end
  made=sub(head,1,3)..'p'..ended..${f('digest')}..fence..'0001'..${f('failures')}..token..ends..sub(head,${CLAIMS.retention.join()})..'000000'..counted(previous..own)
else
  local _,created=extrasOf(v,'')
  local n=tonumber(${f('attempt')})
  if n<9999 then n=n+1 end
  steps=stepsOf(v)
  made=sub(head,1,3)..(steps=='' and 'p' or 'P')..(status=='R' and 's' or 'a')..${f('digest')}..fence..string.format('%04d',n)..${f('failures')}..token..ends..sub(head,${CLAIMS.retention.join()})..'000000'..counted(owner..own..created)
  if status=='P' then v=sub(v,1,3)..(steps=='' and 'n' or 'N')..sub(v,5,bodyAt(v)-1)..steps end
end
redis.call('SET',KEYS[1],made..steps..body..v,'PX',ARGV[3])
return made..steps
`;

/**
 * Whether the attempt of `head` may write over what stands at the key, by G3. Leaves `write` true, or returns what the
 * caller is told. `own` is what an own record in progress does; `passed` answers for an attempt that another one
 * replaced after it settled.
 */
const mayWrite = (
  own: string,
  settled: 0 | 1,
  passed = `if ${f('ended')}=='s' then return ${settled} end`,
): string => `
${PREVIOUS_TOKEN}
local fence=${h('fence')}
local unfenced=fence=='${'0'.repeat(16)}'
if v then
  local status,owner=${f('status')},${f('token')}
  if ${IS_FOREIGN} or ${f('digest')}~=${h('digest')} then return 0 end
  if owner==${h('token')} then
    if status=='T' then return 0 end
    if status~='P' then
      ${TOUCH}
      return ${settled}
    end
    ${own}
  elseif previousOf(v)==${h('token')} then
    ${passed}
    return 0
  elseif status~='P' and status~='R' or ${f('fence')}>=fence or not string.find(v,${SANE}) then
    return 0
  end
elseif unfenced then
  head=sub(head,1,${PLACES.fence[0]})..micros..sub(head,${PLACES.fence[1] + 1})
elseif now>deadline then
  return 0
end
`;

/** ARGV: head, tail, lease ms, ttl ms, last moment over absence. Answers the new lease end, or 0. */
const RENEW = `
local sub=string.sub
local head,tail,deadline=ARGV[1],ARGV[2],ARGV[5]
local v=redis.call('GET',KEYS[1])
${CLOCK}
local ends=string.format('%.0f',ms+ARGV[3])
${mayWrite(
  `redis.call('SETRANGE',KEYS[1],${PLACES.time[0]},ends)
    redis.call('PEXPIRE',KEYS[1],ARGV[4])
    return ends`,
  0,
)}
redis.call('SET',KEYS[1],head..ends..tail,'PX',ARGV[4])
return ends
`;

/**
 * ARGV: head, tail with all steps, lease ms, ttl ms, last moment over absence, the step's line, how a line of its name
 * begins. Answers 1 or 0.
 */
const STEP = `
local sub=string.sub
local head,tail,deadline,line,name=ARGV[1],ARGV[2],ARGV[5],ARGV[6],'\\n'..ARGV[7]
local v=redis.call('GET',KEYS[1])
${STEPS}
${CLOCK}
${mayWrite(
  `local steps=stepsOf(v)
    if string.find(steps,name,1,true) then
      ${TOUCH}
      return 1
    end
    local at=bodyAt(v)
    local body=sub(v,at+#steps)
    steps=(steps=='' and '\\n' or sub(steps,1,-2))..line..'\\n\\n'
    local left=string.format('%.0f',redis.call('PTTL',KEYS[1]))
    redis.call('SET',KEYS[1],sub(v,1,3)..string.upper(${f('body')})..sub(v,5,at-1)..steps..body,'PX',left)
    return 1`,
  0,
  `if string.find(stepsOf(v),name,1,true) then return 1 end`,
)}
redis.call('SET',KEYS[1],head..string.format('%.0f',ms+ARGV[3])..tail,'PX',ARGV[4])
return 1
`;

/**
 * ARGV: head, tail with payload, ttl ms, last moment over absence, and the steps where the outcome is not final. Answers
 * 1 or 0. One SET: SETRANGE and APPEND leave room to grow. Nearly every settling is of the record as the attempt knows it, and
 * needs no more than the lines before the functions. Two attempts don't know all that their own record says, and keep
 * what stands there: one whose claim was never answered knows no fence, and one whose record was restored, or marked with a
 * token that was withdrawn, knows neither its fence nor that token.
 */
const SETTLE = `
local sub=string.sub
local head,tail,deadline,steps=ARGV[1],ARGV[2],ARGV[4],ARGV[5]
local v=redis.call('GET',KEYS[1])
${NOW}
if v and not steps and ${span('version', 'status')}=='${FORMAT_VERSION}P' and ${span('ended', 'token')}==${span('ended', 'token', 'head')} then
  redis.call('SET',KEYS[1],head..now..tail,'PX',ARGV[3])
  ${WAKE}
  return 1
end
local micros=sec..us
${STEPS}
${mayWrite(
  `if steps then steps=stepsOf(v) end
    if unfenced or ${f('ended')}=='w' then
      ${EXTRAS}
      head=sub(head,1,4)..${f('ended')}..${span('digest', 'attempt')}..sub(head,${PLACES.failures[0] + 1})
      local last=${TAIL_EXTRAS - 1}+tonumber(sub(tail,${TAIL_EXTRA.join()}))
      tail=sub(tail,1,${TAIL_EXTRA[0] - 1})..counted((previousOf(v) or '')..extrasOf(v,'Hh'))..sub(tail,last+1)
    end`,
  1,
)}
if steps and steps~='' then
  local last=${TAIL_EXTRAS - 1}+tonumber(sub(tail,${TAIL_EXTRA.join()}))
  head=sub(head,1,3)..string.upper(sub(head,4,4))..sub(head,5)
  tail=sub(tail,1,last)..steps..sub(tail,last+1)
end
redis.call('SET',KEYS[1],head..now..tail,'PX',ARGV[3])
${WAKE}
return 1
`;

/** ARGV: token, digest. Answers 1 when it undid a claim. What it restores keeps the fence of the attempt that is undone (G5). */
const RELEASE = `
local sub=string.sub
local token=ARGV[1]
local v=redis.call('GET',KEYS[1])
${STEPS}
${CLOCK}
local fence,failures,mine=micros,'000',false
if v then
  local status,owner=${f('status')},${f('token')}
  if ${IS_FOREIGN} or ${f('digest')}~=ARGV[2] then return 0 end
  ${EXTRAS}
  if owner~=token then
    if status=='R' or status=='T' or status=='P' and ${f('time')}<=now then
      if ${f('ended')}=='-' then
        local at=bodyAt(v)
        local left=redis.call('PTTL',KEYS[1])
        local marked=sub(v,1,4)..'w'..${span('digest', 'hits')}..counted(token..sub(v,${FIXED_LENGTH + 1},at-1))..sub(v,at)
        if left<0 then redis.call('SET',KEYS[1],marked) else redis.call('SET',KEYS[1],marked,'PX',string.format('%.0f',left)) end
      else
        redis.call('SETRANGE',KEYS[1],${PLACES.ended[0]},'w')
        redis.call('SETRANGE',KEYS[1],${PREVIOUS[0]},token)
      end
    end
    return 0
  end
  if status~='P' then return 0 end
  fence,failures,mine=${f('fence')},${f('failures')},true
  if string.lower(${f('body')})=='p' then
    local at=bodyAt(v)+#stepsOf(v)
    local left=tonumber(sub(v,at,at+12))-ms
    if left>=1 then
      v=sub(v,at+13)
      redis.call('SET',KEYS[1],sub(v,1,4)..'w'..${f('digest')}..fence..${span('attempt', 'hits')}..counted(token..extrasOf(v,''))..sub(v,bodyAt(v)),'PX',string.format('%.0f',left))
      ${WAKE}
      return 1
    end
  end
end
redis.call('SET',KEYS[1],'${FORMAT_VERSION}Trn-'..ARGV[2]..fence..'0001'..failures..token..now..'${retentionText(MARK_MS)}0000000000','PX','${MARK_MS}')
if mine then
  ${WAKE}
  return 1
end
return 0
`;

/** ARGV: whether a settled record is to be touched. Answers what stands there (`told`), or 0 for absence. */
const READ = `
local sub=string.sub
local v=redis.call('GET',KEYS[1])
if not v then return 0 end
if not (${IS_FOREIGN}) then
  local status=${f('status')}
  if ARGV[1] and status~='P' then ${TOUCH} end
  if status=='C' or status=='F' then return 'F${NOT_COUNTED}'..v end
end
${CLOCK}
return ${told()}
`;

/**
 * ARGV: digest, force, ttl ms, retention, then for an outcome by hand: status and flags, token, payload.
 * Answers 0 absent, 1 done, 2 live, 3 another identity's record. The attempt that is replaced becomes the previous one, so
 * that its resent commands are still recognised.
 */
const OVERRIDE = `
local sub=string.sub
local v=redis.call('GET',KEYS[1])
if not v then return 0 end
${CLOCK}
${EXTRAS}
local fence,attempt,failures,ended,extras,rule=micros,'0001','000','-','0000','r'
local status,token,payload,ttl=ARGV[5],ARGV[6],ARGV[7],ARGV[3]
local forgets=sub(status,1,1)=='T'
if string.find(v,${SANE}) then
  if ${f('digest')}~=ARGV[1] then return 3 end
  local before=${f('status')}
  if before=='T' then return 0 end
  if before=='P' and ${f('time')}>now and ARGV[2]~='1' then return 2 end
  if ${f('fence')}>=micros then fence=string.format('%016.0f',tonumber(${f('fence')})+1) end
  failures,ended=${f('failures')},before=='P' and 'a' or 's'
  extras=counted(${f('token')})
  if not forgets then attempt,rule,extras=${f('attempt')},${f('rule')},counted(${f('token')}..extrasOf(v,'Hh')) end
end
if forgets then
  local left=redis.call('PTTL',KEYS[1])
  if left>tonumber(ttl) then ttl=string.format('%.0f',left) end
end
redis.call('SET',KEYS[1],'${FORMAT_VERSION}'..sub(status,1,1)..rule..sub(status,2,2)..ended..ARGV[1]..fence..attempt..failures..token..now..ARGV[4]..'000000'..extras..payload,'PX',ttl)
${WAKE}
return 1
`;

/** {@link RELEASE} for each key, with two arguments each. One that fails is 2, and the others are as they would be without. */
const RELEASE_MANY = `
local function release(KEYS,ARGV)
${RELEASE}
end
local results={}
for i=1,#KEYS do
  local ok,answer=pcall(release,{KEYS[i]},{ARGV[2*i-1],ARGV[2*i]})
  results[i]=ok and answer or 2
end
return results
`;

export const SCRIPTS = { CLAIM, RENEW, STEP, SETTLE, RELEASE, RELEASE_MANY, READ, OVERRIDE } as const;
