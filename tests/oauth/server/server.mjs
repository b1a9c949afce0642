// server.mjs [SETTINGS]: an OAuth 2.0 authorization server (oidc-provider) with a small resource server, Acme, and a
// control side for tests, all on one port of 127.0.0.1. SETTINGS is JSON; what it leaves out is as below.
// Says {"port": N} on stdout when it listens, and nothing else there. Ends when its stdin does.
import {randomBytes} from 'node:crypto';
import {createServer} from 'node:http';
import {pathToFileURL} from 'node:url';
import {Acme} from './acme.mjs';
import {createAuthorizationServer, GRANTS} from './authorization.mjs';
import {Control} from './control.mjs';
import {sendJson} from './http.mjs';
import {Quirks} from './quirks.mjs';
import {Store} from './store.mjs';

const DEFAULTS = {
  port: 0,
  ends_with_stdin: true,
  clients: [{id: 'patchbay'}],
  access_token_seconds: 3600,
  refresh_token_seconds: 86_400 * 14,
  authorization_code_seconds: 60,
  device_code_seconds: 600,
  device_interval_seconds: 1,
  rotate: true,            // a refresh token is replaced at each use, and using an old one kills the family
  reuse_grant: false,      // a second consent adds to the first one's family instead of beginning another
  decision: 'allow',       // or "deny": what people answer, when the request does not say it (decision=deny)
  default_account: 'ada',  // who signs in, when the request does not say it (login_hint)
  github_expires: true,    // tokens of /quirks/github expire, as those of a GitHub App
  api_keys: {'acme-key': 'ada'},
  passwords: {ada: 'lovelace'},
};
const CLIENT = {
  secret: 'patchbay-secret',
  redirect_uris: ['http://127.0.0.1/oauth2/callback'],
  grants: Object.keys(GRANTS),
  auth: 'basic',  // post, none
};

export async function start(given = {}) {
  const settings = {...DEFAULTS, ...given};
  settings.clients = settings.clients.map((client) => ({...CLIENT, ...client}));
  const inner = `x-inner-${randomBytes(8).toString('hex')}`;
  let handle;
  const server = createServer((request, response) => {
    handle(request, response).catch((error) => {
      console.error(error);
      if (!response.headersSent) sendJson(response, 500, {error: 'server_error', message: error.message});
    });
  });
  await new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(settings.port, '127.0.0.1', resolve);
  });
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const store = new Store();
  const authorization = createAuthorizationServer(issuer, settings, store);
  const acme = new Acme(settings, authorization.bearer);
  const control = new Control(issuer, settings, store, acme);
  const quirks = new Quirks(issuer, settings, store, inner);

  handle = async (request, response) => {
    const path = new URL(request.url, issuer).pathname;
    if (path.startsWith('/control/')) return control.handle(request, response);
    request.quirk = request.headers[inner];
    if (!request.quirk) {
      control.note(request, response);
      if (await control.interfere(request, response)) return undefined;
    }
    if (path.startsWith('/api/')) return acme.handle(request, response);
    if (path.startsWith('/quirks/')) return quirks.handle(request, response);
    return authorization.handle(request, response);
  };
  return {issuer, server, store, stop: () => { server.close(); server.closeAllConnections(); }};
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.info = console.error;  // stdout is for one line
  console.warn = console.error;
  const settings = process.argv[2] ? JSON.parse(process.argv[2]) : {};
  const {server} = await start(settings);
  console.log(JSON.stringify({port: server.address().port}));
  if (settings.ends_with_stdin ?? DEFAULTS.ends_with_stdin) {
    process.stdin.resume();
    process.stdin.on('end', () => process.exit(0));
  }
}
