// Acme, the resource server under /api: notes, folders and webhooks. It takes live access tokens with the scope that is
// needed (RFC 6750), an API key in the query, or a name with a password.
import {createHmac, randomUUID} from 'node:crypto';
import {displayName} from './authorization.mjs';
import {basicCredentials, readText, sendJson} from './http.mjs';

const FOLDERS = Array.from({length: 250}, (_, i) => {
  const number = String(i + 1).padStart(3, '0');
  return {id: `f-${number}`, name: `${i % 10 === 0 ? 'Project' : 'Folder'} ${number}`};
});

function challenge(error, description, scope) {
  const parts = ['realm="acme"'];
  if (error) parts.push(`error="${error}"`, `error_description="${description}"`);
  if (scope) parts.push(`scope="${scope}"`);
  return {'www-authenticate': `Bearer ${parts.join(', ')}`};
}

export class Acme {
  notes = [];  // {id, text, folder, author, created_at, requests}
  hooks = [];  // {id, url, secret}
  #settings;
  #bearer;
  #answered = new Map();  // Idempotency-Key -> note

  constructor(settings, bearer) {
    this.#settings = settings;
    this.#bearer = bearer;
  }

  // Who asks: {account, client, scopes}. Undefined: refused, and answered.
  async #identify(request, url, response, scope) {
    const refuse = (status, error, message, needed) => {
      if (request.entry) request.entry.error = error ?? 'no_credentials';
      sendJson(response, status, {error, message}, challenge(error, message, needed));
    };
    const who = await this.#whoever(request, url);
    if (who === null) return refuse(401, undefined, 'sign in first');
    if (!who) return refuse(401, 'invalid_token', 'the access token is expired, revoked or unknown');
    Object.assign(request.entry ?? {}, {account: who.account, client: who.client});
    if (scope && !who.scopes.has(scope)) return refuse(403, 'insufficient_scope', `this needs ${scope}`, scope);
    return who;
  }

  // null: there are no credentials; undefined: they are wrong.
  async #whoever(request, url) {
    const all = (account) => account && {account, client: null, scopes: new Set(['notes.read', 'notes.write'])};
    const [scheme, token] = (request.headers.authorization ?? '').split(' ');
    if (scheme.toLowerCase() === 'bearer') return this.#bearer(token);
    const basic = basicCredentials(request);
    if (basic) return this.#settings.passwords[basic.name] === basic.secret ? all(basic.name) : undefined;
    const key = url.searchParams.get('api_key');
    return key === null ? null : all(this.#settings.api_keys[key]);
  }

  async handle(request, response) {
    const url = new URL(request.url, 'http://acme');
    const route = `${request.method} ${url.pathname.replace(/^(\/api\/hooks\/)(?!fire$).+/, '$1:id')}`;
    const routes = {
      'GET /api/me': [null, this.#me],
      'GET /api/notes': ['notes.read', this.#listNotes],
      'POST /api/notes': ['notes.write', this.#writeNote],
      'GET /api/folders': ['notes.read', this.#listFolders],
      'POST /api/hooks': ['notes.read', this.#addHook],
      'DELETE /api/hooks/:id': ['notes.read', this.#removeHook],
    };
    if (route === 'POST /api/hooks/fire') return this.#fire(request, response);
    if (!routes[route]) return sendJson(response, 404, {error: 'not_found', message: `no ${route}`});
    const [scope, answer] = routes[route];
    const who = await this.#identify(request, url, response, scope);
    if (who) await answer.call(this, {request, response, url, who});
  }

  #me({response, who}) {
    const login = who.account ?? who.client;
    sendJson(response, 200, {id: who.account ? `u-${login}` : `app-${login}`, login, name: displayName(login)});
  }

  #listNotes({response, url}) {
    const after = Number(url.searchParams.get('after') ?? 0);
    const limit = Math.min(Number(url.searchParams.get('limit') ?? 50), 100);
    sendJson(response, 200, {notes: this.notes.filter(({id}) => id > after).slice(0, limit)});
  }

  // A second request with the same Idempotency-Key gets the first one's answer.
  async #writeNote({request, response, who}) {
    const key = request.headers['idempotency-key'];
    const known = key === undefined ? undefined : this.#answered.get(key);
    const {text, folder} = JSON.parse(await readText(request));
    if (known) {
      ++known.requests;
      return sendJson(response, 201, known);
    }
    if (typeof text !== 'string') return sendJson(response, 422, {error: 'invalid', message: 'text is missing'});
    if (folder !== undefined && !FOLDERS.some(({id}) => id === folder)) {
      return sendJson(response, 422, {error: 'invalid', message: `there is no folder ${folder}`});
    }
    const note = {id: this.notes.length + 1, text, folder: folder ?? null, author: who.account ?? who.client,
                  created_at: new Date().toISOString(), requests: 1};
    this.notes.push(note);
    if (key !== undefined) this.#answered.set(key, note);
    sendJson(response, 201, note);
  }

  #listFolders({response, url}) {
    const search = (url.searchParams.get('search') ?? '').toLowerCase();
    const from = Number(url.searchParams.get('cursor') || 0);
    const limit = Math.min(Number(url.searchParams.get('limit') || 100), 100);
    const found = FOLDERS.filter(({name}) => name.toLowerCase().includes(search));
    const next = from + limit < found.length ? String(from + limit) : null;
    sendJson(response, 200, {folders: found.slice(from, from + limit), next});
  }

  async #addHook({request, response}) {
    const {url, secret} = JSON.parse(await readText(request));
    let hook = this.hooks.find((known) => known.url === url);
    if (!hook) this.hooks.push(hook = {id: randomUUID(), url});
    hook.secret = secret;
    sendJson(response, 201, {id: hook.id, url});
  }

  #removeHook({response, url}) {
    const before = this.hooks.length;
    this.hooks = this.hooks.filter(({id}) => !url.pathname.endsWith(`/${id}`));
    sendJson(response, this.hooks.length < before ? 204 : 404);
  }

  // {text, delivery, count, ports}: so many signed deliveries to each hook; with ports, to these ports of its host in turn.
  // For tests, so without credentials.
  async #fire(request, response) {
    const {text = 'fired', delivery, count = 1, ports} = JSON.parse(await readText(request) || '{}');
    const fired = [];
    for (let i = 0; i < count; ++i) {
      const body = JSON.stringify({note: {id: randomUUID(), text: count === 1 ? text : `${text} ${i + 1}`}});
      fired.push(...await this.#deliver(body, delivery, ports?.[i % ports.length]));
    }
    sendJson(response, 200, {fired});
  }

  #deliver(body, delivery, port) {
    return Promise.all(this.hooks.map(async ({id, url: address, secret}) => {
      const url = new URL(address);
      if (port) url.port = port;
      const headers = {
        'content-type': 'application/json',
        'x-acme-delivery': delivery ?? randomUUID(),
        'x-acme-signature': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      };
      const answer = await fetch(url, {method: 'POST', headers, body}).catch((error) => ({status: 0, error}));
      return {hook: id, status: answer.status};
    }));
  }
}
