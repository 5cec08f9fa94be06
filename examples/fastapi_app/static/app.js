// The support desk's page. Everything that came from somebody goes into it by `textContent`, never as HTML.

const find = (id) => document.getElementById(id);
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const LOGIN_NEEDED = 401, NOT_ALLOWED = 403, NOT_FOUND = 404, NOT_VALID = 422;

let me = null; // the answer of /api/me
let shown = null; // the path of the page that is shown
let tickets = null; // the member's own, the newest first; null until they are loaded

// --- parts of the page ---

function part(name, texts = {}) {
  const copy = find(name).content.cloneNode(true);
  for (const element of copy.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
  // Logging in and out are forms that the person sends: a login that a script began asks for one more click.
  for (const form of copy.querySelectorAll(".xwms-login")) {
    const next = form.dataset.next ?? location.pathname;
    form.action = `${me.login_url}?next=${encodeURIComponent(next)}`;
  }
  for (const form of copy.querySelectorAll(".xwms-logout")) form.action = me.logout_url;
  return copy;
}

function show(title, ...parts) {
  document.title = `${title} · Support desk`;
  find("view").replaceChildren(...parts);
}

const FORMAT = new Intl.DateTimeFormat("en-GB", {dateStyle: "medium", timeStyle: "short"});

function fillTime(element, moment) {
  element.dateTime = moment;
  element.textContent = FORMAT.format(new Date(moment));
}

// --- the API ---

/** What the API answered, if it is what the page hoped for. The rest is an `Unfulfilled`. */
async function api(path, options = {}) {
  const answer = await fetch(path, {headers: {Accept: "application/json"}, ...options}).catch(() => null);
  if (answer === null) throw new Unfulfilled(0, {});
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Unfulfilled(answer.status, body);
  return body;
}

class Unfulfilled extends Error {
  constructor(status, problem) {
    super(problem.detail ?? "We could not be reached. Please try again in a moment.");
    Object.assign(this, {status, problem});
  }
}

/** Show why something did not work. */
function explain(failure) {
  if (!(failure instanceof Unfulfilled)) throw failure;
  if (failure.status === LOGIN_NEEDED) {
    // The problem says where to log in; its `next` is the address of the API, and the person wants to be back here.
    if (failure.problem.reason) me.signed_out = failure.message; // "You were signed out because …"
    leave(failure.problem.login_url?.split("?")[0]);
    show("Please log in", part("login-needed"));
  } else if (failure.status === NOT_ALLOWED) {
    leave();
    show(failure.problem.title ?? "Not allowed", part("refused", {title: failure.problem.title ?? "Not allowed", detail: failure.message}));
  } else if (failure.status === NOT_FOUND) {
    show("Nothing here", part("not-found"));
  } else {
    find("notice").replaceChildren(part("failed", {detail: failure.message}));
  }
}

/** Nobody is logged in any more. */
function leave(loginUrl = me.login_url) {
  me = {...me, member: null, login_url: loginUrl};
  tickets = null;
  frame();
}

function frame() {
  const suffix = me.member ? "in" : "out";
  find("account").replaceChildren(part(`account-${suffix}`));
  find("who").replaceChildren(part(`who-${suffix}`, me.member ?? {}));
  find("notice").replaceChildren(...(me.signed_out ? [part("signed-out", {detail: me.signed_out})] : []));
}

// --- pages ---

const PAGES = [
  [/^\/$/, home],
  [/^\/tickets$/, listTickets],
  [/^\/tickets\/new$/, newTicket],
  [/^\/tickets\/([0-9a-f]+)$/, showTicket],
];

async function route() {
  const path = shown = location.pathname;
  find("questions").hidden = path !== "/";
  const [pattern, page] = PAGES.find(([pattern]) => pattern.test(path)) ?? [];
  if (!page) return show("Nothing here", part("not-found"));
  if (page !== home && !me.member) return show("Please log in", part("login-needed"));
  try {
    await page(...path.match(pattern).slice(1));
  } catch (failure) {
    explain(failure);
  }
}

async function go(path) {
  history.pushState(null, "", path);
  if (!me.signed_out) find("notice").replaceChildren();
  await route();
  scrollTo(0, 0);
  // As after a click on a link of any other page: the next Tab begins at the top, and a screen reader reads the title.
  find("content").focus({preventScroll: true});
}

function home() {
  show("Questions and answers", me.member ? part("home-in", me.member) : part("home-out"));
}

async function listTickets() {
  tickets ??= await api("/api/tickets");
  if (location.pathname !== "/tickets") return; // the person went on meanwhile
  if (!tickets.length) return show("Your tickets", part("no-tickets"));
  const list = part("tickets");
  list.querySelector("ul").append(...tickets.map(row));
  show("Your tickets", list);
}

function row(ticket) {
  const copy = part("row", ticket);
  copy.querySelector("a").href = `/tickets/${ticket.id}`;
  fillTime(copy.querySelector("time"), ticket.opened_at);
  return copy;
}

async function showTicket(id) {
  const ticket = tickets?.find((known) => known.id === id) ?? await api(`/api/tickets/${id}`);
  if (location.pathname !== `/tickets/${id}`) return;
  const copy = part("ticket", {...ticket, name: me.member.name});
  fillTime(copy.querySelector("time"), ticket.opened_at);
  show(ticket.subject, copy);
}

function newTicket() {
  show("Open a ticket", part("new-ticket"));
  find("ticket-form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.target);
  });
}

async function send(form) {
  const button = form.querySelector("[type=submit]");
  button.disabled = true; // once is enough
  showErrors(form, {});
  try {
    const ticket = await api("/api/tickets", {
      method: "POST",
      headers: {Accept: "application/json", "Content-Type": "application/json"},
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    });
    add(ticket);
    await go(`/tickets/${ticket.id}`);
  } catch (failure) {
    if (failure.status === NOT_VALID) showErrors(form, failure.problem.errors ?? {});
    else if (failure.status === LOGIN_NEEDED) keepTyped(failure);
    else explain(failure);
  } finally {
    button.disabled = false;
  }
}

/** Nobody is logged in any more, and the ticket is only in the form. */
function keepTyped(failure) {
  const why = failure.problem.reason ? failure.message : "You are no longer logged in.";
  me.signed_out = `${why} Your ticket was not sent: copy what you typed before you log in again.`;
  leave();
  scrollTo(0, 0);
}

function showErrors(form, errors) {
  for (const name of ["subject", "message"]) {
    const field = form.elements[name], told = find(`${name}-error`);
    told.textContent = errors[name] ?? "";
    told.hidden = !(name in errors);
    field.toggleAttribute("aria-invalid", name in errors);
  }
  form.querySelector("[aria-invalid]")?.focus();
}

/** A ticket that was opened in this window or in another. True if it was not known here. */
function add(ticket) {
  if (!tickets || tickets.some((known) => known.id === ticket.id)) return false;
  tickets = [ticket, ...tickets];
  return true;
}

// --- the websocket ---

const QUICK = 1000, SLOW = 60_000; // milliseconds to wait before the next try, at first and at most

async function stayLive() {
  let pause = QUICK;
  while (me.member) {
    if (await live()) pause = QUICK;
    else await catchUp(); // a refused handshake does not say why; this does
    // Not all windows at once after a restart of the server, and none that nobody looks at.
    await wait(pause * (0.5 + Math.random()));
    pause = Math.min(pause * 2, SLOW);
    await visible();
  }
}

/** Listen until the connection ends. Whether there was one. */
function live() {
  return new Promise((ended) => {
    let opened = false;
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/live`);
    socket.onopen = () => {
      opened = true;
      catchUp();
    };
    socket.onmessage = (event) => arrive(JSON.parse(event.data));
    socket.onclose = () => ended(opened);
  });
}

function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((seen) => document.addEventListener("visibilitychange", seen, {once: true})).then(visible);
}

function arrive(ticket) {
  if (!add(ticket)) return;
  find("status").textContent = `New ticket: ${ticket.subject}`;
  if (location.pathname === "/tickets") listTickets();
}

/** What was opened while there was no connection. Nobody has asked for this, so it must not renew the session. */
async function catchUp() {
  if (!me) return;
  const options = {headers: {Accept: "application/json", "XWMS-Passive": "1"}};
  try {
    const {member} = await api("/api/me", options);
    if (member && member.id !== me.member?.id) return location.reload(); // somebody, or somebody else, is here by now
    if (!me.member) return;
    for (const ticket of (await api("/api/tickets", options)).reverse()) arrive(ticket);
  } catch (failure) {
    // Somebody who is typing is told when they send it.
    if ([LOGIN_NEEDED, NOT_ALLOWED].includes(failure.status) && !find("ticket-form")) explain(failure);
  }
}

// --- start ---

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/']");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
addEventListener("popstate", () => {
  if (location.pathname !== shown) route(); // not for the link to the content
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) catchUp(); // somebody may have logged out in another window
});
// A page that the browser had kept aside may show somebody who has logged out since.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

try {
  me = await api("/api/me");
  frame();
  await route();
  stayLive();
} catch (failure) {
  me = {member: null, signed_out: null, login_url: "/xwms/auth", logout_url: "/xwms/logout"};
  frame();
  explain(failure);
}
