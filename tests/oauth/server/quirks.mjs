// Token endpoints that answer as some well-known providers do. Each wraps the real one: what it gives out is as real, and
// each wants the client's credentials in the body or as Basic. GitHub's and Twitch's ways are from their documentation
// (docs.github.com/apps/oauth-apps, docs.github.com/apps/creating-github-apps, dev.twitch.tv/docs/authentication),
// Google's from developers.google.com/identity/protocols/oauth2.
import {basicCredentials, basicHeader, readText, sendJson} from './http.mjs';

const GITHUB_ERRORS = {
  invalid_client: 'incorrect_client_credentials',
  'invalid_grant authorization_code': 'bad_verification_code',
  'invalid_grant refresh_token': 'bad_refresh_token',
};

export class Quirks {
  #issuer;
  #settings;
  #store;
  #inner;  // marks our own requests to the real endpoint
  #seen = new Set();  // "client account" that Google has given a refresh token

  constructor(issuer, settings, store, inner) {
    this.#issuer = issuer;
    this.#settings = settings;
    this.#store = store;
    this.#inner = inner;
  }

  async handle(request, response) {
    const answers = {github: this.#github, twitch: this.#twitch, google: this.#google};
    const [, name] = /^\/quirks\/(\w+)\/token$/.exec(request.url) ?? [];
    if (!answers[name] || request.method !== 'POST') return sendJson(response, 404, {error: 'not_found'});
    const form = new URLSearchParams(await readText(request));
    const given = basicCredentials(request) ?? {name: form.get('client_id') ?? '', secret: form.get('client_secret') ?? ''};
    form.delete('client_id');
    form.delete('client_secret');
    const real = await fetch(`${this.#issuer}/token`, {
      method: 'POST',
      headers: {authorization: basicHeader(given), 'content-type': 'application/x-www-form-urlencoded', [this.#inner]: name},
      body: form.toString(),
    });
    const body = await real.json();
    const token = body.access_token && this.#store.get('AccessToken', body.access_token);
    const asked = {grant: form.get('grant_type'), client: given.name, account: token?.accountId ?? null, token};
    Object.assign(request.entry, {grant_type: asked.grant, client: asked.client, account: asked.account, error: body.error ?? null});
    answers[name].call(this, {request, response, status: real.status, body, asked});
  }

  // Form-encoded unless JSON is asked for; errors with status 200; scopes with commas; a refresh ends the old access
  // token. Tokens that do not expire (of an "OAuth App") have no refresh token: settings.github_expires.
  #github({request, response, body, asked}) {
    let answer;
    if (body.error) {
      const error = GITHUB_ERRORS[`${body.error} ${asked.grant}`] ?? GITHUB_ERRORS[body.error] ?? body.error;
      answer = {error, error_description: body.error_description ?? error, error_uri: 'https://docs.example/errors'};
    } else {
      answer = {access_token: body.access_token, scope: (body.scope ?? '').replaceAll(' ', ','), token_type: 'bearer'};
      if (this.#settings.github_expires && body.refresh_token) {
        Object.assign(answer, {expires_in: body.expires_in, refresh_token: body.refresh_token,
                               refresh_token_expires_in: this.#settings.refresh_token_seconds});
      }
      const {grantId, jti} = asked.token ?? {};
      if (grantId) this.#store.removeAll('AccessToken', (token) => token.grantId === grantId && token.jti !== jti);
    }
    if ((request.headers.accept ?? '').includes('application/json')) return sendJson(response, 200, answer);
    response.writeHead(200, {'content-type': 'application/x-www-form-urlencoded; charset=utf-8'});
    response.end(new URLSearchParams(answer).toString());
  }

  // The scope is an array, the type lower case; an error is a status and a message, without OAuth's error code.
  #twitch({response, status, body, asked}) {
    if (body.error) {
      const refresh = asked.grant === 'refresh_token' && body.error === 'invalid_grant';
      const pending = ['authorization_pending', 'slow_down', 'expired_token'].includes(body.error);
      const message = refresh ? 'Invalid refresh token' : pending ? body.error : body.error_description ?? body.error;
      return sendJson(response, status, {status, message});
    }
    const {access_token, expires_in, refresh_token} = body;
    sendJson(response, status, {access_token, expires_in, refresh_token, scope: (body.scope ?? '').split(' '), token_type: 'bearer'});
  }

  // The refresh token comes with the first consent only, and is never replaced.
  #google({response, status, body, asked}) {
    if (!body.error) {
      const name = `${asked.client} ${asked.account}`;
      if (asked.grant === 'refresh_token' || this.#seen.has(name)) delete body.refresh_token;
      if (body.refresh_token) this.#seen.add(name);
    }
    sendJson(response, status, body);
  }
}
