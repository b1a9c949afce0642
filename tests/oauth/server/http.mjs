// Small things around node:http.

export async function readText(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

export function sendJson(response, status, body, headers = {}) {
  response.writeHead(status, {'content-type': 'application/json', 'cache-control': 'no-store', ...headers});
  response.end(body === undefined ? '' : JSON.stringify(body));
}

// Of "Authorization: Basic …" (RFC 6749, 2.3.1: both halves form-encoded); undefined: there is none.
export function basicCredentials(request) {
  const [scheme, value] = (request.headers.authorization ?? '').split(' ');
  if (scheme.toLowerCase() !== 'basic' || !value) return undefined;
  const [name, ...secret] = Buffer.from(value, 'base64').toString().split(':');
  const decode = (text) => decodeURIComponent(text.replaceAll('+', ' '));
  return {name: decode(name), secret: decode(secret.join(':'))};
}

export function basicHeader({name, secret}) {
  return `Basic ${Buffer.from(`${encodeURIComponent(name)}:${encodeURIComponent(secret)}`).toString('base64')}`;
}
