// What XWMS's own JavaScript SDK puts on the wire, in a few lines of our own: plain fetch, no packages, Node 18 or newer.
//
// One program is one client. It reads its settings from the environment under XWMS's names, reads commands from stdin,
// one JSON array a line such as ["verify", "a-token"], and answers each with one line of JSON:
//   {"ok": true, "result": …}
//   {"ok": false, "status": 401, "message": "…"}      XWMS refused; status is null where there was no answer at all
//
// Knows: the SDK's headers, bodies, URL joining, timeout and conversion of subs.
// Must not: be kinder to the server than the SDK is, or know that it talks to a sandbox.

import { createInterface } from "node:readline";

const { XWMS_CLIENT_ID, XWMS_CLIENT_SECRET, XWMS_DOMAIN, XWMS_REDIRECT_URI, XWMS_API_URI } = process.env;
const TIMEOUT = Number(process.env.XWMS_TIMEOUT_MS ?? 10_000);

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// new URL("info", "https://xwms.nl/api") is https://xwms.nl/info: the slash has to be there first.
function address(path) {
  return new URL(path, XWMS_API_URI.endsWith("/") ? XWMS_API_URI : `${XWMS_API_URI}/`);
}

async function call(method, path, body) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), TIMEOUT);
  try {
    const answer = await fetch(address(path), {
      method,
      headers: {
        "X-Client-Id": XWMS_CLIENT_ID,
        "X-Client-Secret": XWMS_CLIENT_SECRET,
        "X-Client-Domain": XWMS_DOMAIN,
        Accept: "application/json",
        "Content-Type": "application/json",
      },
      body: method === "POST" ? JSON.stringify({ ...body, redirect_url: XWMS_REDIRECT_URI }) : undefined,
      signal: controller.signal,
    });
    const envelope = await answer.json();
    if (!answer.ok || envelope.status !== "success") throw new Refused(answer.status, envelope.message);
    return envelope;
  } catch (fault) {
    if (fault.name === "AbortError") throw new Refused(null, `no answer within ${TIMEOUT} ms`);
    throw fault;
  } finally {
    clearTimeout(timer);
  }
}

// Digits become a number, rounded where a double cannot hold them; words stay words.
function subOf(sub) {
  return /^\d+$/.test(String(sub)) ? Number(sub) : sub;
}

const commands = {
  async begin() {
    const envelope = await call("POST", "sign-token", {});
    return envelope.data?.url ?? envelope.redirect_url ?? envelope.data?.redirect_url;
  },
  // The token of a callback, under either of its two names.
  async token(callback) {
    const query = new URL(callback).searchParams;
    return query.get("token") ?? query.get("access_token");
  },
  async verify(token) {
    const { data } = await call("POST", "sign-token-verify", { token });
    return data.user ?? data;
  },
  async userInfo(sub) {
    return (await call("POST", "get/user/info", { sub: subOf(sub), socials: true })).data.user;
  },
  async addresses(sub) {
    return (await call("POST", "get/user/address", { sub: subOf(sub) })).data.addresses;
  },
  async listAddresses(sub) {
    return (await call("POST", "user/address", { sub: subOf(sub), action: "list" })).data.addresses;
  },
  async createAddress(sub, given) {
    return (await call("POST", "user/address", { sub: subOf(sub), action: "create", address: given })).data.address;
  },
  async updateAddress(sub, id, given) {
    const body = { sub: subOf(sub), action: "update", address_id: id, address: given };
    return (await call("POST", "user/address", body)).data.address;
  },
  async deleteAddress(sub, id) {
    return (await call("POST", "user/address", { sub: subOf(sub), action: "delete", address_id: id })).data.address;
  },
  async countries() {
    return (await call("POST", "global/countries", {})).data.countries;
  },
  async projects() {
    return (await call("GET", "global/projects")).data.projects;
  },
  async info() {
    return (await call("GET", "info")).data;
  },
  // What a sub is on the wire, as JSON.
  async sent(sub) {
    return JSON.stringify(subOf(sub));
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line);
  let answer;
  try {
    answer = { ok: true, result: await commands[name](...given) };
  } catch (fault) {
    answer = { ok: false, status: fault.status ?? null, message: fault.message };
  }
  console.log(JSON.stringify(answer));
}
