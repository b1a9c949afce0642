// The side under /control that only tests see: what was asked, and what is to go wrong.
import {clientMetadata} from './authorization.mjs';
import {basicCredentials, basicHeader, readText, sendJson} from './http.mjs';

const realNow = Date.now;

export class Control {
  #log = [];
  #failures = [];  // {path, count, status, body, headers, delay_ms, cut}
  #issuer;
  #settings;
  #store;
  #acme;

  constructor(issuer, settings, store, acme) {
    this.#issuer = issuer;
    this.#settings = settings;
    this.#store = store;
    this.#acme = acme;
    for (const client of settings.clients) this.#register(client);
  }

  // An entry for this request, which others complete. Never anything that is secret.
  note(request, response) {
    const {pathname} = new URL(request.url, this.#issuer);
    const entry = {n: this.#log.length + 1, at: realNow(), method: request.method, path: pathname, grant_type: null,
                   client: null, account: null, status: null, error: null, injected: false};
    this.#log.push(entry);
    request.entry = entry;
    response.on('close', () => { entry.status = response.writableFinished ? response.statusCode : 0; });
  }

  // Does what was ordered for this path. True: the request is answered, or its connection cut.
  async interfere(request, response) {
    const {path} = request.entry;
    const failure = this.#failures.find((one) => one.path === path && one.count > 0);
    if (!failure) return false;
    --failure.count;
    request.entry.injected = true;
    if (failure.delay_ms) await new Promise((resolve) => setTimeout(resolve, failure.delay_ms));
    if (failure.cut === 'after') {  // all is done, but nobody hears of it
      response.write = () => true;
      response.end = () => { request.socket.destroy(); return response; };
      return false;
    }
    if (failure.cut !== 'before' && !failure.status) return false;
    const form = new URLSearchParams(await readText(request));
    request.entry.grant_type = form.get('grant_type');
    request.entry.client = basicCredentials(request)?.name ?? form.get('client_id');
    if (failure.cut === 'before') {
      request.socket.destroy();
      return true;
    }
    const text = typeof failure.body === 'string' ? failure.body : JSON.stringify(failure.body ?? {error: 'injected'});
    response.writeHead(failure.status, {'content-type': 'application/json', ...failure.headers});
    response.end(text);
    return true;
  }

  async handle(request, response) {
    const url = new URL(request.url, this.#issuer);
    const routes = {
      'GET /control/log': () => this.#show(Number(url.searchParams.get('since') ?? 0)),
      'GET /control/grants': () => ({grants: this.#store.grants()}),
      'GET /control/secrets': () => ({secrets: [...this.#store.issued, ...this.#acme.hooks.map((hook) => hook.secret)]}),
      'GET /control/notes': () => ({notes: this.#acme.notes}),
      'GET /control/hooks': () => ({hooks: this.#acme.hooks.map(({id, url}) => ({id, url}))}),
      'POST /control/fail': (order) => { this.#failures.push({count: 1, ...order}); return {}; },
      'DELETE /control/fail': () => { this.#failures = []; return {}; },
      'POST /control/settings': (change) => { Object.assign(this.#settings, change); return {}; },
      'POST /control/client': (change) => this.#changeClient(change),
      'POST /control/clock': ({offset_seconds}) => { Date.now = () => realNow() + offset_seconds * 1000; return {}; },
      'POST /control/expire': (which) => this.#expire(which),
      'POST /control/revoke': (which) => this.#revoke(which),
      'POST /control/reuse': (which) => this.#reuse(which),
    };
    const route = routes[`${request.method} ${url.pathname}`];
    if (!route) return sendJson(response, 404, {error: `no ${request.method} ${url.pathname}`});
    const text = await readText(request);
    sendJson(response, 200, await route(text ? JSON.parse(text) : {}));
  }

  #show(since) {
    const entries = this.#log.filter(({n}) => n > since);
    return {entries, next: this.#log.length};
  }

  #register(client) {
    this.#store.put('Client', client.id, clientMetadata(client));
  }

  // {id, …}: a client of the settings gets other redirect_uris, another secret, …
  #changeClient(change) {
    let client = this.#settings.clients.find(({id}) => id === change.id);
    if (!client) this.#settings.clients.push(client = {...this.#settings.clients[0]});
    Object.assign(client, change);
    this.#register(client);
    return {};
  }

  // {grant, account, client}: all that fit; {}: all.
  #wanted({grant, account, client}) {
    const fit = (asked, has) => asked === undefined || asked === has;
    return this.#store.grants().filter((one) => fit(grant, one.id) && fit(account, one.account) && fit(client, one.client));
  }

  // The access tokens die now; refresh tokens live on.
  #expire(which) {
    const ids = new Set(this.#wanted(which).map(({id}) => id));
    let tokens = this.#store.removeAll('AccessToken', (token) => ids.has(token.grantId));
    if (which.grant === undefined && which.account === undefined) {
      tokens += this.#store.removeAll('ClientCredentials', (token) => [undefined, token.clientId].includes(which.client));
    }
    return {tokens};
  }

  #revoke(which) {
    const found = this.#wanted(which);
    for (const {id} of found) this.#store.removeGrant(id);
    return {grants: found.length};
  }

  // Somebody who once read a refresh token tries it, after it was replaced. The answer of the token endpoint.
  async #reuse(which) {
    const ids = new Set(this.#wanted(which).map(({id}) => id));
    const [old] = this.#store.all('RefreshToken', (token) => ids.has(token.grantId) && token.consumed);
    if (!old) return {status: 0, error: 'no refresh token was replaced yet'};
    const {id, secret} = this.#settings.clients.find((client) => client.id === old.payload.clientId);
    const answer = await fetch(`${this.#issuer}/token`, {
      method: 'POST',
      headers: {authorization: basicHeader({name: id, secret}), 'content-type': 'application/x-www-form-urlencoded'},
      body: new URLSearchParams({grant_type: 'refresh_token', refresh_token: old.id}).toString(),
    });
    return {status: answer.status, error: (await answer.json()).error ?? null};
  }
}
