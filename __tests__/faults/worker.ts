/**
 * A process of its own for the fault tests: some callers that run shared keys through the engine with work of random
 * length, and write down all that happens to them. See worker-config.ts for what it is told.
 */
import { createIdempotency } from '../../src/index.js';
import { Callers } from './callers.js';
import { Recorder, sharedMs } from './history.js';
import { RecordingStore } from './recording-store.js';
import { openStore } from './stores.js';
import type { Order, Report, WorkerConfig } from './worker-config.js';

const TICK_MS = 20;
const STALL_MS = 60;

const config = JSON.parse(process.argv[2] ?? '') as WorkerConfig;
const recorder = new Recorder(config.history, config.id);
const opened = openStore(config.store, config.storeTimeoutMs);
const store = new RecordingStore(opened.store, recorder, (address) => address.split(':').at(-1) ?? address);
const idempotency = createIdempotency({
  store,
  name: 'charge',
  lease: config.leaseMs,
  storeTimeout: config.storeTimeoutMs,
  waitTimeout: config.waitTimeoutMs,
  logger: {},
});
const callers = new Callers(config, idempotency, store, recorder);

/** Writes down when this process did nothing, so that the checker blames nobody for it. */
let lastTickAt = sharedMs();
const ticker = setInterval(() => {
  const from = lastTickAt;
  lastTickAt = sharedMs();
  if (lastTickAt - from > TICK_MS + STALL_MS) recorder.note({ is: 'stalled', from });
}, TICK_MS);

const say = (report: Report) => process.send?.(report);
const trueNow = Date.now.bind(Date);

process.on('message', (order: Order) => {
  switch (order.do) {
    case 'block':
      // Not a busy loop: the machine's processors are for those who still run.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, order.ms);
      return;
    case 'set the clock':
      Date.now = () => trueNow() + order.offsetMs;
      return;
    case 'probe':
      void callers.probe().then(() => say({ said: 'probed' }));
      return;
    case 'leave':
      void leave();
  }
});
// Whoever started us is gone: nobody would end us.
process.on('disconnect', () => process.exit());

async function leave(): Promise<void> {
  await callers.stop();
  await idempotency.close();
  await opened.close();
  clearInterval(ticker);
  process.removeAllListeners('disconnect');
  process.disconnect();
}

callers.start();
say({ said: 'ready' });
