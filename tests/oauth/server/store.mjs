// What the authorization server remembers, in memory: tokens, grants, sessions, clients. The adapter that oidc-provider
// asks for, and the few questions that the control side has.

// Kinds that die with their grant (RFC 6819, 5.2.2.3: all tokens of the family).
const OF_A_GRANT = ['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode'];

export class Store {
  #entries = new Map();  // "AccessToken:id" -> {model, id, payload, expires}
  issued = new Set();    // ids of opaque tokens and codes, which are their values

  adapter(model) {
    return {
      upsert: async (id, payload, seconds) => this.put(model, id, payload, seconds),
      find: async (id) => this.get(model, id),
      findByUid: async (uid) => this.first(model, (payload) => payload.uid === uid),
      findByUserCode: async (code) => this.first(model, (payload) => payload.userCode === code),
      consume: async (id) => {
        const entry = this.#entries.get(`${model}:${id}`);
        if (entry) entry.payload.consumed = Math.floor(Date.now() / 1000);
      },
      destroy: async (id) => this.remove(model, id),
      revokeByGrantId: async (grant) => this.removeAll(model, (payload) => payload.grantId === grant),
    };
  }

  put(model, id, payload, seconds) {
    const expires = typeof seconds === 'number' ? Date.now() + seconds * 1000 : Infinity;
    if (OF_A_GRANT.includes(model)) this.issued.add(id);
    this.#entries.set(`${model}:${id}`, {model, id, payload: {...payload}, expires});
  }

  get(model, id) {
    const entry = this.#entries.get(`${model}:${id}`);
    return entry && entry.expires > Date.now() ? {...entry.payload} : undefined;
  }

  all(model, wanted = () => true) {
    return [...this.#entries.values()].filter(
      (entry) => entry.model === model && entry.expires > Date.now() && wanted(entry.payload));
  }

  first(model, wanted) {
    const entry = this.all(model, wanted)[0];
    return entry && {...entry.payload};
  }

  remove(model, id) {
    return this.#entries.delete(`${model}:${id}`);
  }

  removeAll(model, wanted) {
    const found = this.all(model, wanted);
    for (const {id} of found) this.remove(model, id);
    return found.length;
  }

  grants(wanted = () => true) {
    return this.all('Grant', wanted).map(({id, payload}) => ({
      id,
      account: payload.accountId,
      client: payload.clientId,
      scopes: (payload.openid?.scope ?? '').split(' ').filter(Boolean),
      access_tokens: this.all('AccessToken', (token) => token.grantId === id).length,
      refresh_tokens: this.all('RefreshToken', (token) => token.grantId === id && !token.consumed).length,
    }));
  }

  removeGrant(id) {
    for (const model of OF_A_GRANT) this.removeAll(model, (payload) => payload.grantId === id);
    this.remove('Grant', id);
  }
}
