// pg-boss: batches of 500 for four local workers that go on at once while batches come full, woken by notifications.
// Its handler gets a whole batch, so sleeping items run as waves of a quarter of the consumers each.

import { PgBoss } from "pg-boss";
import { main, pages } from "./meter.mjs";

const PAGE = 10_000;
const LOCAL = 4;

const connect = async (options = {}) => {
  const boss = new PgBoss({
    connectionString: process.env.BENCH_URL,
    max: 20,
    useListenNotify: true,
    supervise: false,
    schedule: false,
    ...options,
  });
  boss.on("error", (error) => console.error(error.message));
  await boss.start();
  return boss;
};

main({
  async setup() {
    const boss = await connect();
    for (const kind of ["noop", "lat", "nap"]) await boss.createQueue(kind, { notify: true });
    await boss.stop();
  },

  async enqueuer(kind) {
    const boss = await connect();
    return async (items) => {
      for (const page of pages(items, PAGE)) await boss.insert(kind, page.map((data) => ({ data })));
    };
  },

  async sender() {
    const boss = await connect();
    return (item) => boss.send("lat", item);
  },

  async work(kind, consumers, meter) {
    const boss = await connect({ supervise: true });
    const batchSize = { noop: 500, lat: 10, nap: Math.ceil(consumers / LOCAL) }[kind];
    const handle = { noop: (item) => meter.hit(item), lat: (item) => meter.heard(item), nap: (item) => meter.nap(item) }[kind];
    await boss.work(
      kind,
      { batchSize, localConcurrency: LOCAL, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
      (jobs) => Promise.all(jobs.map((job) => handle(job.data))),
    );
    return () => boss.stop({ graceful: true, timeout: 10_000 });
  },
});
