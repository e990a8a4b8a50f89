// A worker on claims, in Node 18 or newer without packages, over HTTP as PostgREST and Supabase speak it.
//
//   API_URL=https://PROJECT.supabase.co/rest/v1 API_KEY=… node claims_worker.mjs
//
// The result is written before the release, in a request of its own: at least once, so write it as an upsert. SIGINT and
// SIGTERM let the row at hand finish and give the others back.

const env = process.env;
const API = env.API_URL;
const WORK_TYPE = env.WORK_TYPE ?? "count-words";
const WORKER = env.WORKER_ID ?? `node-${process.pid}`;
const BATCH = Number(env.BATCH ?? 10);
const TTL_S = Number(env.TTL_S ?? 300); // some times what a batch takes; it is renewed after every row
const SLOW_S = Number(env.SLOW_S ?? 0); // stands for a slow model

let stopping = false;
let wake = () => {};
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => { stopping = true; wake(); });

const pause = (seconds) => new Promise((done) => {
  const timer = setTimeout(done, seconds * 1000);
  wake = () => { clearTimeout(timer); done(); };
});

async function request(path, options) {
  const headers = { "Content-Type": "application/json", ...options.headers };
  if (env.API_KEY) Object.assign(headers, { apikey: env.API_KEY, Authorization: `Bearer ${env.API_KEY}` });
  const answer = await fetch(`${API}${path}`, { ...options, headers });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

const rpc = (name, args) => request(`/rpc/${name}`, { method: "POST", body: JSON.stringify(args) });

// Yours to replace: read the row, compute, write the result.
async function work(id) {
  const [thought] = await request(`/thoughts?id=eq.${encodeURIComponent(id)}&select=body`, { method: "GET" });
  if (SLOW_S) await pause(SLOW_S);
  await request("/thought_words?on_conflict=thought_id", {
    method: "POST",
    headers: { Prefer: "resolution=merge-duplicates" },
    body: JSON.stringify({ thought_id: id, words: thought.body.split(/\s+/).length, worker_id: WORKER }),
  });
}

const who = { p_work_type: WORK_TYPE, p_worker_id: WORKER };

async function workOne(claim) {
  let error = null;
  try {
    await work(claim.id);
  } catch (failure) {
    error = String(failure).slice(0, 500);
  }
  // false: the claim was lost meanwhile, and another worker's result stands
  await rpc("release_thought", {
    p_thought_id: claim.id, ...who, p_status: error ? "failed" : "succeeded", p_error: error,
    p_token: claim.token, p_fingerprint: claim.fingerprint,
  });
}

let last = null;
while (!stopping) {
  // a _json function answers one value, so a row limit of the REST layer cannot cut it
  let claims = await rpc("claim_next_thoughts_json", { ...who, p_limit: BATCH, p_ttl_seconds: TTL_S, p_after_id: last });
  if (claims.length === 0) {
    const [left] = await rpc("thought_claims_remaining", { p_work_type: WORK_TYPE });
    if (left.waiting + left.held === 0) break;
    await pause(Math.min(Math.max(left.next_free_in_seconds ?? 0, 0.2), 30));
    continue;
  }
  last = claims.at(-1).id;
  while (claims.length > 0 && !stopping) {
    await workOne(claims.shift());
    if (claims.length === 0) break;
    const held = await rpc("renew_thought_claims_json", { ...who, p_ttl_seconds: TTL_S, p_tokens: claims.map((one) => one.token) });
    const tokens = new Set(held.map((one) => one.token));
    claims = claims.filter((one) => tokens.has(one.token));
  }
}
await rpc("release_thought_claims_for_worker", who);
