// That the server is what the tests of the host take it for.
import assert from 'node:assert/strict';
import {createHash, createHmac, randomBytes} from 'node:crypto';
import {createServer} from 'node:http';
import {after, before, beforeEach, test} from 'node:test';
import {Browser} from './browser.mjs';
import {GRANTS} from './authorization.mjs';
import {basicHeader} from './http.mjs';
import {start} from './server.mjs';

const CLIENT = {name: 'patchbay', secret: 'patchbay-secret'};
const CALLBACK = 'http://127.0.0.1/oauth2/callback';
let running;
console.warn = () => {};

before(async () => { running = await start({clients: [{id: 'patchbay'}, {id: 'public', auth: 'none'}]}); });
after(() => running.stop());
beforeEach(async () => {
  await control('/fail', undefined, 'DELETE');
  await control('/revoke', {});
  await control('/clock', {offset_seconds: 0});
  await control('/settings', {rotate: true, decision: 'allow', access_token_seconds: 3600});
});

async function control(path, body, method = body === undefined ? 'GET' : 'POST') {
  const answer = await fetch(`${running.issuer}/control${path}`, {method, body: body && JSON.stringify(body)});
  assert.equal(answer.status, 200, path);
  return answer.json();
}

async function post(path, form, client = CLIENT, headers = {}) {
  const answer = await fetch(running.issuer + path, {
    method: 'POST',
    headers: {'content-type': 'application/x-www-form-urlencoded', ...(client && {authorization: basicHeader(client)}), ...headers},
    body: new URLSearchParams(form).toString(),
  });
  const text = await answer.text();
  return {status: answer.status, text, body: text.startsWith('{') ? JSON.parse(text) : undefined};
}

const api = (path, token, options = {}) =>
  fetch(`${running.issuer}/api${path}`, {...options, headers: {...(token && {authorization: `Bearer ${token}`}), ...options.headers}});

function authorization(more = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const parameters = {
    client_id: 'patchbay', response_type: 'code', redirect_uri: CALLBACK, state: 's',
    scope: 'openid offline_access notes.read notes.write', prompt: 'consent', login_hint: 'ada',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', ...more,
  };
  return {verifier, url: `${running.issuer}/auth?${new URLSearchParams(parameters)}`};
}

async function codeFor(more, browser = new Browser()) {
  const {verifier, url} = authorization(more);
  const arrived = await browser.visit(url);
  return {verifier, code: arrived.url.searchParams.get('code'), query: arrived.url.searchParams, page: arrived.page};
}

async function logIn(more, path = '/token', browser = undefined) {
  const {verifier, code, page} = await codeFor(more, browser);
  assert.ok(code, page);
  return post(path, {grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier});
}

const refresh = (refresh_token, path = '/token', headers = {}) => post(path, {grant_type: 'refresh_token', refresh_token}, CLIENT, headers);

test('a login by redirects, and what its token opens', async () => {
  const {status, body} = await logIn();
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.expires_in, 3600);
  assert.equal(body.scope, 'openid offline_access notes.read notes.write');
  assert.ok(body.refresh_token);
  const me = await api('/me', body.access_token);
  assert.deepEqual(await me.json(), {id: 'u-ada', login: 'ada', name: 'Ada'});
  assert.equal((await (await fetch(`${running.issuer}/me`, {headers: {authorization: `Bearer ${body.access_token}`}})).json()).sub, 'ada');
});

test('PKCE, state, the redirect URI and a code are held to the letter', async () => {
  const {verifier, url} = authorization();
  const without = await new Browser().visit(url.replace(/&code_challenge(_method)?=[^&]*/g, ''));
  assert.equal(without.url.searchParams.get('error'), 'invalid_request');
  assert.equal(without.url.searchParams.get('state'), 's');
  const elsewhere = await new Browser().visit(url.replace(encodeURIComponent(CALLBACK), encodeURIComponent('http://127.0.0.1:1/other')));
  assert.equal(elsewhere.status, 400);
  const {code} = await codeFor();
  const exchange = {grant_type: 'authorization_code', code, redirect_uri: CALLBACK};
  assert.equal((await post('/token', {...exchange, code_verifier: verifier})).body.error, 'invalid_grant');
  const again = await codeFor();
  const right = {...exchange, code: again.code, code_verifier: again.verifier};
  assert.equal((await post('/token', right, {...CLIENT, secret: 'wrong'})).body.error, 'invalid_client');
  assert.equal((await post('/token', right)).status, 200);
  assert.equal((await post('/token', right)).body.error, 'invalid_grant');
});

test('somebody says no, or gives a part', async () => {
  const {query} = await codeFor({decision: 'deny'});
  assert.equal(query.get('error'), 'access_denied');
  assert.equal(query.get('state'), 's');
  const {body} = await logIn({only_scopes: 'notes.read'});
  assert.equal(body.scope, 'openid offline_access notes.read');
});

test('another account in the same browser', async () => {
  const browser = new Browser();
  const ada = await logIn({}, '/token', browser);
  const grace = await logIn({login_hint: 'grace'}, '/token', browser);
  assert.equal((await (await api('/me', ada.body.access_token)).json()).login, 'ada');
  assert.equal((await (await api('/me', grace.body.access_token)).json()).login, 'grace');
});

test('rotation, and reuse kills the family', async () => {
  const first = (await logIn()).body;
  const second = (await refresh(first.refresh_token)).body;
  assert.ok(second.refresh_token);
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal((await api('/me', second.access_token)).status, 200);
  assert.equal((await refresh(first.refresh_token)).body.error, 'invalid_grant');
  assert.equal((await api('/me', second.access_token)).status, 401);
  assert.equal((await refresh(second.refresh_token)).body.error, 'invalid_grant');
});

test('two refreshes at the same time: one is a reuse', async () => {
  const {refresh_token} = (await logIn()).body;
  const both = await Promise.all([refresh(refresh_token), refresh(refresh_token)]);
  assert.deepEqual(both.map(({status}) => status).sort(), [200, 400]);
});

test('the control side reuses a refresh token', async () => {
  const first = (await logIn()).body;
  assert.equal((await control('/reuse', {account: 'ada'})).status, 0);
  const second = (await refresh(first.refresh_token)).body;
  assert.deepEqual(await control('/reuse', {account: 'ada'}), {status: 400, error: 'invalid_grant'});
  assert.equal((await refresh(second.refresh_token)).body.error, 'invalid_grant');
});

test('without rotation the refresh token stays', async () => {
  await control('/settings', {rotate: false});
  const first = (await logIn()).body;
  for (let i = 0; i < 2; ++i) {
    const {status, body} = await refresh(first.refresh_token);
    assert.equal(status, 200);
    assert.equal(body.refresh_token, first.refresh_token);
  }
});

test('access tokens expire: by the clock, by order, by their life', async () => {
  const {access_token, refresh_token} = (await logIn()).body;
  await control('/clock', {offset_seconds: 3601});
  const answer = await api('/me', access_token);
  assert.equal(answer.status, 401);
  assert.match(answer.headers.get('www-authenticate'), /error="invalid_token"/);
  await control('/settings', {access_token_seconds: 2});
  const next = (await refresh(refresh_token)).body;
  assert.equal(next.expires_in, 2);
  assert.equal((await api('/me', next.access_token)).status, 200);
  assert.deepEqual(await control('/expire', {account: 'ada'}), {tokens: 1});
  assert.equal((await api('/me', next.access_token)).status, 401);
  assert.equal((await refresh(next.refresh_token)).status, 200);
});

test('device flow: pending, approved, done', async () => {
  const begun = await post('/device/auth', {scope: 'openid offline_access notes.read', prompt: 'consent'});
  assert.equal(begun.status, 200, begun.text);
  const {device_code, verification_uri, verification_uri_complete, user_code} = begun.body;
  assert.ok(verification_uri && user_code);
  assert.equal(begun.body.interval, 1);
  const ask = () => post('/token', {grant_type: GRANTS.device_code, device_code});
  assert.equal((await ask()).body.error, 'authorization_pending');
  const browser = new Browser();
  const confirm = await browser.visit(verification_uri_complete);
  const done = await browser.submit(confirm);
  assert.match(done.page, /Success/);
  const {status, body} = await ask();
  assert.equal(status, 200, JSON.stringify(body));
  assert.ok(body.refresh_token);
  assert.equal((await (await api('/me', body.access_token)).json()).login, 'ada');
  assert.equal((await ask()).body.error, 'invalid_grant');
});

test('device flow: it has no prompt, and offline_access needs none', async () => {
  const {device_code, verification_uri_complete} = (await post('/device/auth', {scope: 'openid offline_access'})).body;
  const browser = new Browser();
  await browser.submit(await browser.visit(verification_uri_complete));
  const {body} = await post('/token', {grant_type: GRANTS.device_code, device_code});
  assert.ok(body.refresh_token, JSON.stringify(body));
});

test('who is signed in may agree again, also after all was revoked', async () => {
  const browser = new Browser();
  for (let i = 0; i < 3; ++i) {
    const {status, body} = await logIn({}, '/token', browser);
    assert.equal(status, 200);
    assert.equal((await api('/me', body.access_token)).status, 200);
    if (i === 0) await control('/revoke', {});
    else assert.equal((await control('/grants')).grants.length, i);
  }
});

test('device flow: refused', async () => {
  const {device_code, verification_uri_complete} = (await post('/device/auth', {scope: 'openid'})).body;
  const browser = new Browser();
  const confirm = await browser.visit(verification_uri_complete);
  await browser.submit(confirm, {abort: 'yes'});
  assert.equal((await post('/token', {grant_type: GRANTS.device_code, device_code})).body.error, 'access_denied');
});

test('client credentials', async () => {
  const {status, body} = await post('/token', {grant_type: 'client_credentials', scope: 'notes.read'});
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.refresh_token, undefined);
  assert.equal((await (await api('/me', body.access_token)).json()).id, 'app-patchbay');
  assert.equal((await api('/notes', body.access_token)).status, 200);
});

test('revocation and introspection', async () => {
  const {access_token, refresh_token} = (await logIn()).body;
  const active = async (token) => (await post('/token/introspection', {token})).body.active;
  assert.deepEqual([await active(access_token), await active(refresh_token)], [true, true]);
  assert.equal((await control('/grants')).grants.length, 1);
  assert.equal((await post('/token/revocation', {token: refresh_token})).status, 200);
  assert.deepEqual([await active(access_token), await active(refresh_token)], [false, false]);
  assert.equal((await control('/grants')).grants.length, 0);
});

test('a scope that is missing is named', async () => {
  const {access_token} = (await logIn({scope: 'openid offline_access notes.read'})).body;
  const answer = await api('/notes', access_token, {method: 'POST', body: '{"text": "no"}'});
  assert.equal(answer.status, 403);
  assert.match(answer.headers.get('www-authenticate'), /error="insufficient_scope".*scope="notes\.write"/);
  assert.equal((await api('/me')).status, 401);
  assert.equal((await fetch(`${running.issuer}/api/me?api_key=acme-key`)).status, 200);
  assert.equal((await fetch(`${running.issuer}/api/me`, {headers: {authorization: basicHeader({name: 'ada', secret: 'lovelace'})}})).status, 200);
  assert.equal((await fetch(`${running.issuer}/api/me`, {headers: {authorization: basicHeader({name: 'ada', secret: 'no'})}})).status, 401);
});

test('notes are written once', async () => {
  const {access_token} = (await logIn()).body;
  const write = (key, text) => api('/notes', access_token, {method: 'POST', headers: {'idempotency-key': key}, body: JSON.stringify({text, folder: 'f-001'})});
  const first = await (await write('k', 'one')).json();
  const second = await write('k', 'one');
  assert.equal(second.status, 201);
  assert.equal((await second.json()).id, first.id);
  const other = await (await write('l', 'two')).json();
  const listed = await (await api(`/notes?after=${first.id}`, access_token)).json();
  assert.deepEqual(listed.notes.map(({id}) => id), [other.id]);
  assert.equal((await api('/notes', access_token, {method: 'POST', body: '{"text": "x", "folder": "no"}'})).status, 422);
});

test('folders in pages', async () => {
  const {access_token} = (await logIn()).body;
  const page = async (query) => (await api(`/folders?${query}`, access_token)).json();
  const first = await page('limit=100');
  assert.equal(first.folders.length, 100);
  const last = await page('limit=100&cursor=200');
  assert.deepEqual([last.folders.length, last.next], [50, null]);
  assert.equal((await page('search=project')).folders.length, 25);
});

test('hooks are fired with a signature', async () => {
  const {access_token} = (await logIn()).body;
  const heard = [];
  const receiver = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    heard.push({headers: request.headers, body});
    response.end();
  });
  await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${receiver.address().port}/hook`;
  const made = await (await api('/hooks', access_token, {method: 'POST', body: JSON.stringify({url, secret: 'sesame'})})).json();
  const fired = await (await api('/hooks/fire', undefined, {method: 'POST', body: '{"text": "hello"}'})).json();
  assert.deepEqual(fired.fired, [{hook: made.id, status: 200}]);
  const many = await (await api('/hooks/fire', undefined, {method: 'POST', body: '{"count": 3, "text": "n"}'})).json();
  assert.equal(many.fired.length, 3);
  assert.equal(JSON.parse(heard[3].body).note.text, 'n 3');
  const [{headers, body}] = heard;
  assert.equal(headers['x-acme-signature'], `sha256=${createHmac('sha256', 'sesame').update(body).digest('hex')}`);
  assert.ok(headers['x-acme-delivery']);
  assert.equal((await api(`/hooks/${made.id}`, access_token, {method: 'DELETE'})).status, 204);
  assert.equal((await control('/hooks')).hooks.length, 0);
  receiver.close();
});

test('what is ordered to fail, fails', async () => {
  const {refresh_token} = (await logIn()).body;
  await control('/fail', {path: '/token', status: 503, count: 2, headers: {'retry-after': '1'}});
  assert.deepEqual([(await refresh(refresh_token)).status, (await refresh(refresh_token)).status], [503, 503]);
  await control('/fail', {path: '/token', cut: 'before'});
  await assert.rejects(refresh(refresh_token));
  await control('/fail', {path: '/token', delay_ms: 150});
  const begun = Date.now();
  const {body} = await refresh(refresh_token);
  assert.ok(Date.now() - begun >= 145);
  await control('/fail', {path: '/token', cut: 'after'});
  await assert.rejects(refresh(body.refresh_token));
  assert.equal((await refresh(body.refresh_token)).body.error, 'invalid_grant');  // it was replaced, unheard
});

test('the log says what was asked, and nothing secret', async () => {
  const {next} = await control('/log');
  const {access_token, refresh_token} = (await logIn()).body;
  await refresh(refresh_token);
  await refresh(refresh_token);
  await api('/me', access_token);
  await control('/fail', {path: '/token', status: 500});
  await refresh(refresh_token);
  const text = JSON.stringify(await control(`/log?since=${next}`));
  const entries = JSON.parse(text).entries.filter(({path}) => path === '/token' || path.startsWith('/api/'));
  assert.deepEqual(entries.map(({grant_type, client, status, error, injected}) => [grant_type, client, status, error, injected]), [
    ['authorization_code', 'patchbay', 200, null, false],
    ['refresh_token', 'patchbay', 200, null, false],
    ['refresh_token', 'patchbay', 400, 'invalid_grant', false],
    [null, null, 401, 'invalid_token', false],
    ['refresh_token', 'patchbay', 500, null, true],
  ]);
  for (const secret of [access_token, refresh_token, CLIENT.secret]) assert.ok(!text.includes(secret));
});

test('as GitHub', async () => {
  const json = {accept: 'application/json'};
  const form = new URLSearchParams((await logIn({}, '/quirks/github/token')).text);
  assert.equal(form.get('scope'), 'openid,offline_access,notes.read,notes.write');
  assert.equal(form.get('token_type'), 'bearer');
  const next = await refresh(form.get('refresh_token'), '/quirks/github/token', json);
  assert.ok(next.body.refresh_token);
  assert.equal((await api('/me', form.get('access_token'))).status, 401);
  const used = await refresh(form.get('refresh_token'), '/quirks/github/token', json);
  assert.deepEqual([used.status, used.body.error], [200, 'bad_refresh_token']);
  const bad = await post('/quirks/github/token', {grant_type: 'authorization_code', code: 'x', redirect_uri: CALLBACK, client_id: 'patchbay', client_secret: 'patchbay-secret'}, null);
  assert.equal(new URLSearchParams(bad.text).get('error'), 'bad_verification_code');
});

test('as Twitch', async () => {
  const {body} = await logIn({}, '/quirks/twitch/token');
  assert.deepEqual(body.scope, ['openid', 'offline_access', 'notes.read', 'notes.write']);
  await refresh(body.refresh_token, '/quirks/twitch/token');
  const used = await refresh(body.refresh_token, '/quirks/twitch/token');
  assert.deepEqual(used.body, {status: 400, message: 'Invalid refresh token'});
});

test('as Google', async () => {
  const first = (await logIn({login_hint: 'hedy'}, '/quirks/google/token')).body;
  assert.ok(first.refresh_token);
  for (let i = 0; i < 2; ++i) {
    const {status, body} = await refresh(first.refresh_token, '/quirks/google/token');
    assert.equal(status, 200);
    assert.equal(body.refresh_token, undefined);
  }
  const second = (await logIn({login_hint: 'hedy'}, '/quirks/google/token')).body;
  assert.ok(second.access_token);
  assert.equal(second.refresh_token, undefined);
});
