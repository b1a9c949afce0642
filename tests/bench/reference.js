// What a developer would write by hand, for comparison only: check the signature, look at the action, make one text,
// POST it. Nothing is durable, nothing is tried again.
const http = require('http');
const crypto = require('crypto');

const port = Number(process.env.PORT);
const secret = process.env.GITHUB_SECRET;
const sink = new URL(process.env.SINK_URL);
const agent = new http.Agent({keepAlive: true, maxSockets: 64});

function signed(raw, given) {
  const expected = 'sha256=' + crypto.createHmac('sha256', secret).update(raw).digest('hex');
  return expected.length === given.length && crypto.timingSafeEqual(Buffer.from(expected), Buffer.from(given));
}

function react(event) {
  const {repository, sender, issue} = event;
  const text = `[${repository.full_name}] ${sender.login} opened issue #${issue.number}: ${issue.title} ` +
      `${issue.html_url} (${event.bench_id})`;
  const body = JSON.stringify({text});
  const headers = {'content-type': 'application/json', 'content-length': Buffer.byteLength(body)};
  const request = http.request(
      {host: sink.hostname, port: sink.port, path: sink.pathname, method: 'POST', agent, headers},
      (reply) => reply.resume());
  request.on('error', () => {});
  request.end(body);
}

http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const raw = Buffer.concat(chunks);
    if (!signed(raw, request.headers['x-hub-signature-256'] || '')) {
      response.statusCode = 401;
      response.end();
      return;
    }
    const event = JSON.parse(raw);
    response.end('ok');
    if (event.action === 'opened') react(event);
  });
}).listen(port, '127.0.0.1');
