// The authorization server: oidc-provider as it is, with people who answer at once.
import {generateKeyPairSync, randomBytes} from 'node:crypto';
import Provider, {interactionPolicy} from 'oidc-provider';

export const GRANTS = {
  authorization_code: 'authorization_code',
  refresh_token: 'refresh_token',
  client_credentials: 'client_credentials',
  device_code: 'urn:ietf:params:oauth:grant-type:device_code',
};
const SCOPES = ['openid', 'offline_access', 'profile', 'notes.read', 'notes.write'];

// A client of the settings, as OpenID Connect Dynamic Client Registration names its members.
export function clientMetadata({id, secret, redirect_uris, grants, auth}) {
  const interactive = grants.includes('authorization_code');
  return {
    client_id: id,
    client_secret: auth === 'none' ? undefined : secret,
    token_endpoint_auth_method: {basic: 'client_secret_basic', post: 'client_secret_post', none: 'none'}[auth],
    grant_types: grants.map((grant) => GRANTS[grant]),
    response_types: interactive ? ['code'] : [],
    redirect_uris: interactive ? redirect_uris : [],
    scope: SCOPES.join(' '),
    id_token_signed_response_alg: 'ES256',
  };
}

function policy() {
  const {base, Check} = interactionPolicy;
  const prompts = base();
  // Somebody else than the one who is signed in: signs in anew.
  prompts.get('login').checks.add(new Check('other_account', 'login_hint names another account', (ctx) => {
    const {session, params, result} = ctx.oidc;
    return Boolean(params.login_hint && session.accountId && session.accountId !== params.login_hint && !result?.login);
  }));
  return prompts;
}

function configuration(settings, store) {
  const {privateKey} = generateKeyPairSync('ec', {namedCurve: 'P-256'});
  return {
    adapter: (model) => store.adapter(model),
    jwks: {keys: [{...privateKey.export({format: 'jwk'}), alg: 'ES256', use: 'sig', kid: 'only'}]},
    cookies: {keys: [randomBytes(16).toString('hex')]},
    scopes: SCOPES,
    claims: {openid: ['sub'], profile: ['name', 'preferred_username']},
    extraParams: ['decision', 'only_scopes'],
    findAccount: (ctx, id) => ({accountId: id, claims: () => ({sub: id, name: displayName(id), preferred_username: id})}),
    pkce: {required: () => true},
    expiresWithSession: () => false,
    rotateRefreshToken: (ctx) => settings.rotate && ctx.req.quirk !== 'google',
    ttl: {
      AccessToken: () => settings.access_token_seconds,
      ClientCredentials: () => settings.access_token_seconds,
      AuthorizationCode: () => settings.authorization_code_seconds,
      DeviceCode: () => settings.device_code_seconds,
      RefreshToken: () => settings.refresh_token_seconds,
      IdToken: () => 3600,
      Interaction: () => 3600,
      Session: () => 86_400,
      Grant: () => 86_400 * 365,
    },
    features: {
      devInteractions: {enabled: false},
      deviceFlow: {enabled: true},
      clientCredentials: {enabled: true},
      revocation: {enabled: true},
      introspection: {enabled: true, allowedPolicy: (ctx, client, token) => token.clientId === client.clientId},
      userinfo: {enabled: true},
    },
    interactions: {policy: policy(), url: (ctx, interaction) => `/interaction/${interaction.uid}`},
  };
}

export const displayName = (account) => account[0].toUpperCase() + account.slice(1);

// Two requests with one refresh token come one after the other: the second is a reuse, always.
function oneByOne() {
  let last = Promise.resolve();
  return (ctx, next) => {
    if (ctx.path !== '/token') return next();
    const mine = last.then(next);
    last = mine.catch(() => {});
    return mine;
  };
}

function noteInLog(ctx) {
  const {entry} = ctx.req;
  if (!entry || !ctx.oidc) return;
  const {params, client, entities} = ctx.oidc;
  entry.grant_type = params?.grant_type ?? null;
  entry.client = client?.clientId ?? null;
  entry.account = entities?.Account?.accountId ?? null;
  entry.error = ctx.body?.error ?? null;
}

export function createAuthorizationServer(issuer, settings, store) {
  const provider = new Provider(issuer, configuration(settings, store));
  provider.use(oneByOne());
  provider.use(async (ctx, next) => {
    await next();
    // RFC 8628, 3.2: without it a client waits 5 s.
    if (ctx.path === '/device/auth' && ctx.status === 200) ctx.body.interval = settings.device_interval_seconds;
    noteInLog(ctx);
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  const callback = provider.callback();

  // What a person would do on the pages for login and consent.
  async function answerForThem(request, response) {
    const {prompt, params, session, grantId} = await provider.interactionDetails(request, response);
    const finish = (result) => provider.interactionFinished(request, response, result, {mergeWithLastSubmission: true});
    if ((params.decision ?? settings.decision) === 'deny') {
      return finish({error: 'access_denied', error_description: 'the user said no'});
    }
    if (prompt.name === 'login') return finish({login: {accountId: params.login_hint ?? settings.default_account}});
    const known = settings.reuse_grant && grantId ? await provider.Grant.find(grantId) : undefined;
    const grant = known ?? new provider.Grant({accountId: session.accountId, clientId: params.client_id});
    const asked = (params.scope ?? '').split(' ').filter(Boolean);
    const only = (params.only_scopes ?? params.scope ?? '').split(' ');
    const given = (scope) => only.includes(scope) || ['openid', 'offline_access'].includes(scope);
    grant.addOIDCScope(asked.filter(given).join(' '));
    const refused = asked.filter((scope) => !given(scope));
    if (refused.length > 0) grant.rejectOIDCScope(refused.join(' '));
    return finish({consent: {grantId: await grant.save()}});
  }

  return {
    provider,
    handle: (request, response) =>
      new URL(request.url, issuer).pathname.startsWith('/interaction/') ? answerForThem(request, response)
                                                                         : callback(request, response),
    // Whoever holds this access token now; undefined: it is dead or was never given out.
    async bearer(value) {
      const token = await provider.AccessToken.find(value) ?? await provider.ClientCredentials.find(value);
      if (!token?.isValid) return undefined;
      return {account: token.accountId ?? null, client: token.clientId, scopes: token.scopes};
    },
  };
}
