// What every Node contender shares; the same conversation and the same count as meter.py, which describes them.

import { createInterface } from "node:readline";

export const NAP_MS = 200;
const REPORT_EVERY_MS = 10;

export const now = () => (performance.timeOrigin + performance.now()) / 1000;
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const pages = function* (items, size) {
  for (let start = 0; start < items; start += size)
    yield Array.from({ length: Math.min(size, items - start) }, (_, i) => ({ n: start + i }));
};
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

export class Meter {
  constructor(items) {
    this.seen = new Uint8Array(items);
    this.done = 0;
    this.first_s = null;
    this.waits_ms = [];
  }

  start() {
    this.first_s ??= now();
  }

  hit({ n }) {
    this.start();
    this.seen[n] += 1;
    this.done += 1;
  }

  heard({ n, at }) {
    this.waits_ms.push((now() - at) * 1000);
    this.hit({ n });
  }

  async nap({ n }) {
    this.start();
    await sleep(NAP_MS);
    this.hit({ n });
  }

  progress() {
    return { done: this.done, first_s: this.first_s };
  }

  account() {
    const usage = process.resourceUsage();
    return {
      ...this.progress(),
      seen: Buffer.from(this.seen).toString("base64"),
      waits_ms: this.waits_ms,
      cpu_s: (usage.userCPUTime + usage.systemCPUTime) / 1e6,
      rss_mb: usage.maxRSS / 1024,
    };
  }
}

async function work(contender, kind, consumers, meter) {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  say({ ready: true });
  if ((await lines.next()).value !== "go") process.exit(1);
  let told = 0;
  const report = () => {
    if (meter.done !== told) say(meter.progress());
    told = meter.done;
  };
  setInterval(report, REPORT_EVERY_MS);
  const stop = await contender.work(kind, consumers, meter);
  if ((await lines.next()).value !== "stop") process.exit(1);
  await stop();
  process.stdout.write(JSON.stringify(meter.account()) + "\n", () => process.exit(0));
}

export async function main(contender) {
  const [command, ...args] = process.argv.slice(2);
  if (command === "setup") await contender.setup();
  else if (command === "enqueue") {
    const add = await contender.enqueuer(args[0]);
    const started = performance.now();
    await add(Number(args[1]));
    say({ seconds: (performance.now() - started) / 1000 });
  } else if (command === "send") {
    const add = await contender.sender();
    for (let n = 0; n < Number(args[0]); n++) {
      await sleep(15 + Math.random() * 20);
      await add({ n, at: now() });
    }
  } else return work(contender, args[0], Number(args[1]), new Meter(Number(args[2])));
  process.exit(0);
}
