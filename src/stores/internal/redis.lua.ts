import { FIELDS, HEADER_LENGTH, NO_TOKEN, NOT_COUNTED } from './redis-record.js';

/**
 * The scripts. Each is one atomic step on KEYS[1] that judges time by the server's clock. They run unchanged on
 * Redis 6.2 and later, on Valkey (Lua 5.1) and on ioredis-mock (Lua 5.3 with integers of 32 bits): hence times and
 * fences are compared as text of fixed width, arithmetic on them is on floats, and tables are literals.
 */
type Field = keyof typeof FIELDS;

/** The Lua expression for a field of the record in `v`. */
const f = (name: Field): string => `sub(v,${FIELDS[name][0] + 1},${FIELDS[name][1]})`;
/** The Lua expression for `v` from the start of one field to the end of another. */
const span = (from: Field, to: Field): string => `sub(v,${FIELDS[from][0] + 1},${FIELDS[to][1]})`;
const h = (name: Field): string => `sub(head,${FIELDS[name][0] + 1},${FIELDS[name][1]})`;

const WORD = '[%w_-]';
/** A header that may be replaced: whatever looks otherwise is left alone, and the client says so. */
const SANE = `'^1[PCFRT][rcb][vnpVNP][-saw]${WORD.repeat(6)}${'%d'.repeat(20)}${'%w'.repeat(3)}${WORD.repeat(32)}${'%d'.repeat(32)}${WORD.repeat(16)}'`;

/**
 * `now` is in ms and `micros` in µs, both as text; `ms` is a number. TIME of ioredis-mock rounds its seconds and takes
 * its microseconds from another clock; what an expiry is counted from is its only sound one.
 */
const CLOCK = `
local t=redis.call('TIME')
local sec,us=t[1],sub('00000'..t[2],-6)
if not redis.sha1hex then
  local probe=KEYS[1]..':clock'
  redis.call('SET',probe,'1','PX','60000')
  local at=redis.call('PEXPIRETIME',probe)-60000
  redis.call('DEL',probe)
  sec=string.format('%.0f',math.floor(at/1000)) us=string.format('%06.0f',at%1000*1000)
end
local now,micros=sec..sub(us,1,3),sec..us
local ms=sec*1000.0+sub(us,1,3)
`;

/** The next fence over the record in `v`: G5. */
const NEXT_FENCE = `
local fence=micros
if ${f('fence')}>=micros then fence=string.format('%016.0f',tonumber(${f('fence')})+1) end
`;

/**
 * The answer about a record as one string, which costs both sides less than an array: `E`, the clock in µs, PTTL, the hits
 * that were just counted, and the value.
 */
const told = (micros = 'micros', hits = `'${NOT_COUNTED}'`): string =>
  `'E'..${micros}..string.format('%13.0f',redis.call('PTTL',KEYS[1]))..${hits}..v`;

/** The steps in front of the body, with their end: upper-case flags say that there are some. */
const STEPS = `
local function stepsOf(v)
  if not string.find(${f('flags')},'%u') then return '' end
  local _,last=string.find(v,'\\n\\n',${HEADER_LENGTH + 1},true)
  return sub(v,${HEADER_LENGTH + 1},last)
end
`;

/**
 * Changes nothing, but counts as a write: WAIT of Redis 7.2 and later waits for the connection's own writes only, and what
 * this answer relies on may have been written over another one.
 */
const TOUCH = `redis.pcall('SETRANGE',KEYS[1],0,'1')`;

const WAKE = `redis.pcall('PUBLISH',KEYS[1],'1')`;

/**
 * ARGV: '1P' rule digest fingerprint, token, token to replace, all in one; lease ms, ttl ms.
 * Answers the new header and the recorded steps when the lease was won, else what stands there (`told`).
 */
const CLAIM = `
local sub=string.sub
${STEPS}
local head=ARGV[1]
local v=redis.call('GET',KEYS[1])
local status
if v then
  status=${f('status')}
  local ours=${f('version')}=='1' and #v>=${HEADER_LENGTH} and ${f('digest')}==sub(head,4,9)
  if not ours or status=='C' or status=='F' then
    local t=redis.call('TIME')
    local counted,hits='${NOT_COUNTED}',ours and tonumber(string.match(${f('hits')},'^%d+$'))
    if hits and hits<999999 then
      hits=string.format('%06d',hits+1)
      if type(redis.pcall('SETRANGE',KEYS[1],${FIELDS.hits[0]},hits))=='number' then counted=hits end
    end
    return ${told("t[1]..sub('00000'..t[2],-6)", 'counted')}
  end
end
${CLOCK}
local token,replacing=sub(head,26,41),sub(head,42)
local ends=string.format('%.0f',ms+ARGV[2])
local made,body
local steps=''
if not v then
  made='n-'..sub(head,4,9)..micros..'0001000'..token..'${NO_TOKEN}'..ends..now
else
  local owner=${f('token')}
  if status=='P' and owner==token then
    redis.call('SETRANGE',KEYS[1],${FIELDS.time[0]},ends)
    redis.call('PEXPIRE',KEYS[1],ARGV[3])
    return ${span('version', 'previous')}..ends..${span('created', 'fingerprint')}..stepsOf(v)
  end
  local ttl=redis.call('PTTL',KEYS[1])
  local open=status=='T' or owner==replacing and (status=='R' or status=='P' and ${f('time')}<=now)
  if not open or owner==token or ${f('previous')}==token or not string.find(v,${SANE}) then return ${told()} end
  ${NEXT_FENCE}
  body=ttl<0 and '9999999999999' or string.format('%.0f',ms+ttl)
  if status=='T' then
    made='p'..${f('ended')}..${f('digest')}..fence..'0001'..${f('failures')}..token..${f('previous')}..ends..now
    body=body..v
  else
    local n=tonumber(${f('attempt')})
    if n<9999 then n=n+1 end
    steps=stepsOf(v)
    made=(steps=='' and 'p' or 'P')..(status=='R' and 's' or 'a')..${f('digest')}..fence..string.format('%04d',n)..${f('failures')}..token..owner..ends..${f('created')}
    if status=='P' then v=sub(v,1,3)..(steps=='' and 'n' or 'N')..sub(v,5,114)..steps end
    body=steps..body..v
  end
end
made=sub(head,1,3)..made..'000000'..sub(head,10,25)
if body then redis.call('SET',KEYS[1],made..body,'PX',ARGV[3]) else redis.call('SET',KEYS[1],made,'PX',ARGV[3]) end
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
local fence=${h('fence')}
local unfenced=fence=='${'0'.repeat(16)}'
if v then
  local status,owner=${f('status')},${f('token')}
  if ${f('version')}~='1' or #v<114 or ${f('digest')}~=${h('digest')} then return 0 end
  if owner==${h('token')} then
    if status=='T' then return 0 end
    if status~='P' then
      ${TOUCH}
      return ${settled}
    end
    ${own}
  elseif ${f('previous')}==${h('token')} then
    ${passed}
    return 0
  elseif status~='P' and status~='R' or ${f('fence')}>=fence or not string.find(v,${SANE}) then
    return 0
  end
elseif unfenced then
  head=sub(head,1,11)..micros..sub(head,28)
  tail=now..sub(tail,14)
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
  `redis.call('SETRANGE',KEYS[1],${FIELDS.time[0]},ends)
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
    local body=sub(v,${HEADER_LENGTH + 1}+#steps)
    steps=(steps=='' and '\\n' or sub(steps,1,-2))..line..'\\n\\n'
    local left=string.format('%.0f',redis.call('PTTL',KEYS[1]))
    redis.call('SET',KEYS[1],sub(v,1,3)..string.upper(${f('flags')})..${span('ended', 'fingerprint')}..steps..body,'PX',left)
    return 1`,
  0,
  `if string.find(stepsOf(v),name,1,true) then return 1 end`,
)}
redis.call('SET',KEYS[1],head..string.format('%.0f',ms+ARGV[3])..tail,'PX',ARGV[4])
return 1
`;

/**
 * ARGV: head, tail with payload, ttl ms, last moment over absence, and the steps where the outcome is not final. Answers
 * 1 or 0. One SET: SETRANGE and APPEND leave room to grow. An attempt whose claim was never answered knows no fence: it
 * takes its own record's, as does one whose record was marked with a token that was withdrawn.
 */
const SETTLE = `
local sub=string.sub
local steps=ARGV[5]
${STEPS}
local head,tail,deadline=ARGV[1],ARGV[2],ARGV[4]
local v=redis.call('GET',KEYS[1])
${CLOCK}
${mayWrite(
  `if steps then steps=stepsOf(v) end
    if unfenced or steps and ${f('ended')}=='w' then
      head=sub(head,1,4)..${f('ended')}..${h('digest')}..${span('fence', 'attempt')}..sub(head,32,50)..${f('previous')}
      tail=${f('created')}..sub(tail,14)
    end`,
  1,
)}
if steps and steps~='' then
  head=sub(head,1,3)..string.upper(sub(head,4,4))..sub(head,5)
  tail=sub(tail,1,35)..steps..sub(tail,36)
end
redis.call('SET',KEYS[1],head..now..tail,'PX',ARGV[3])
${WAKE}
return 1
`;

/** ARGV: token, digest. Answers 1 when it undid a claim. */
const RELEASE = `
local sub=string.sub
local token=ARGV[1]
local v=redis.call('GET',KEYS[1])
${STEPS}
${CLOCK}
local fence,failures,mine=micros,'000',false
if v then
  local status,owner=${f('status')},${f('token')}
  if ${f('version')}~='1' or #v<114 or ${f('digest')}~=ARGV[2] then return 0 end
  if owner~=token then
    if status=='R' or status=='T' or status=='P' and ${f('time')}<=now then
      redis.call('SETRANGE',KEYS[1],${FIELDS.ended[0]},'w')
      redis.call('SETRANGE',KEYS[1],${FIELDS.previous[0]},token)
    end
    return 0
  end
  if status~='P' then return 0 end
  if string.lower(${f('flags')})=='p' then
    local at=${HEADER_LENGTH + 1}+#stepsOf(v)
    local left=tonumber(sub(v,at,at+12))-ms
    if left>=1 then
      v=sub(v,at+13)
      redis.call('SET',KEYS[1],sub(v,1,4)..'w'..${span('digest', 'token')}..token..sub(v,67),'PX',string.format('%.0f',left))
      ${WAKE}
      return 1
    end
  end
  fence,failures,mine=${f('fence')},${f('failures')},true
end
redis.call('SET',KEYS[1],'1Trn-'..ARGV[2]..fence..'0001'..failures..token..'${NO_TOKEN}'..now..now..'000000${NO_TOKEN}','PX','60000')
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
if ARGV[1] and ${f('version')}=='1' and ${f('status')}~='P' then ${TOUCH} end
${CLOCK}
return ${told()}
`;

/**
 * ARGV: digest, force, ttl ms, then for an outcome by hand: status and flags, token, payload.
 * Answers 0 absent, 1 done, 2 live, 3 another identity's record. The attempt that is replaced becomes the previous one, so
 * that its resent commands are still recognised.
 */
const OVERRIDE = `
local sub=string.sub
local v=redis.call('GET',KEYS[1])
if not v then return 0 end
${CLOCK}
local fence,attempt,failures,previous,ended,created,print,rule=micros,'0001','000','${NO_TOKEN}','-',now,'${NO_TOKEN}','r'
if string.find(v,${SANE}) then
  if ${f('digest')}~=ARGV[1] then return 3 end
  local status=${f('status')}
  if status=='T' then return 0 end
  if status=='P' and ${f('time')}>now and ARGV[2]~='1' then return 2 end
  if ${f('fence')}>=micros then fence=string.format('%016.0f',tonumber(${f('fence')})+1) end
  attempt,failures,previous,created,print,rule=${f('attempt')},${f('failures')},${f('token')},${f('created')},${f('fingerprint')},${f('rule')}
  ended=status=='P' and 'a' or 's'
end
local status,token,payload,ttl=ARGV[4],ARGV[5],ARGV[6],ARGV[3]
if sub(status,1,1)=='T' then
  local left=redis.call('PTTL',KEYS[1])
  if left>tonumber(ttl) then ttl=string.format('%.0f',left) end
end
redis.call('SET',KEYS[1],'1'..sub(status,1,1)..rule..sub(status,2,2)..ended..ARGV[1]..fence..attempt..failures..token..previous..now..created..'000000'..print..payload,'PX',ttl)
${WAKE}
return 1
`;

export const SCRIPTS = { CLAIM, RENEW, STEP, SETTLE, RELEASE, READ, OVERRIDE } as const;
