// graphile-worker with the preset of its page on performance: 24 concurrent jobs, a local queue of 500, completions in
// batches. Where items sleep or come one at a time, the local queue is one more than the concurrency, as it recommends.

import { Logger, makeWorkerUtils, run, runMigrations } from "graphile-worker";
import { main, pages } from "./meter.mjs";

const PAGE = 10_000;
const connectionString = process.env.BENCH_URL;
const logger = new Logger(() => (level, message) => {
  if (level === "error") console.error(message);
});

const preset = (kind, consumers) => ({
  worker: {
    connectionString,
    concurrentJobs: consumers,
    maxPoolSize: Math.min(consumers + 1, 40),
    fileExtensions: [".js"],
    localQueue: { size: kind === "noop" ? 500 : consumers + 1 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
});

main({
  setup: () => runMigrations({ connectionString, logger }),

  async enqueuer(kind) {
    const utils = await makeWorkerUtils({ connectionString, logger });
    await utils.withPgClient((client) => client.query("select 1"));
    return async (items) => {
      for (const page of pages(items, PAGE))
        await utils.addJobs(page.map((payload) => ({ identifier: kind, payload })));
    };
  },

  async sender() {
    const utils = await makeWorkerUtils({ connectionString, logger });
    return (item) => utils.addJob("lat", item);
  },

  async work(kind, consumers, meter) {
    const taskList = { noop: (item) => meter.hit(item), lat: (item) => meter.heard(item), nap: (item) => meter.nap(item) };
    const runner = await run({ logger, noHandleSignals: true, taskList, preset: preset(kind, consumers) });
    return () => runner.stop();
  },
});
