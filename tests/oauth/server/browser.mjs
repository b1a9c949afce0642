// A person at a browser, for the server's own tests: cookies, redirects, forms.
export class Browser {
  #cookies = new Map();

  async #send(url, options = {}) {
    const {pathname} = new URL(url);
    const cookie = [...this.#cookies.values()].filter(({path}) => pathname.startsWith(path)).map(({pair}) => pair).join('; ');
    const response = await fetch(url, {redirect: 'manual', ...options, headers: {...options.headers, cookie}});
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(/;\s*/);
      const path = attributes.find((one) => one.startsWith('path='))?.slice(5) ?? '/';
      this.#cookies.set(`${pair.split('=')[0]} ${path}`, {pair, path});
    }
    return response;
  }

  // Follows redirects, and forms that send themselves, until a page comes, or an address begins with stop: that address, with the page.
  async visit(url, {stop = 'http://127.0.0.1/oauth2/callback', ...options} = {}) {
    let response = await this.#send(url, options);
    let at = url;
    while (response.headers.has('location')) {
      at = new URL(response.headers.get('location'), at).href;
      if (at.startsWith(stop)) return {url: new URL(at), page: ''};
      response = await this.#send(at);
    }
    const page = await response.text();
    const arrived = {url: new URL(at), status: response.status, page};
    return page.includes('document.forms[0].submit()') ? this.submit(arrived) : arrived;
  }

  // Sends the one form of a page, as it stands.
  async submit({url, page}, more = {}) {
    const [, action] = /<form[^>]*action="([^"]*)"/.exec(page);
    const fields = new URLSearchParams(more);
    for (const [input] of page.matchAll(/<input[^>]*>/g)) {
      const [, name] = /name="([^"]*)"/.exec(input) ?? [];
      const [, value] = /value="([^"]*)"/.exec(input) ?? [];
      if (name && value !== undefined && !fields.has(name)) fields.set(name, value);
    }
    return this.visit(new URL(action, url).href, {
      method: 'POST', body: fields.toString(), headers: {'content-type': 'application/x-www-form-urlencoded'}});
  }
}
