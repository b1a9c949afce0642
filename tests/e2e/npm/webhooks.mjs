// Every example payload of @octokit/webhooks-examples, signed with @octokit/webhooks, to two hooks of a running host:
// each is answered 2xx, those of the subscribed kind become runs, a second delivery with the same id becomes none.
// From the environment: HOOKS, [{"event": "issues", "url": "...", "secret": "...", "flow": "..."}], API, TOKEN.
import assert from 'node:assert/strict';
import {Webhooks} from '@octokit/webhooks';
import definitions from '@octokit/webhooks-examples' with {type: 'json'};

const hooks = JSON.parse(process.env.HOOKS);
const {API, TOKEN} = process.env;

const deliveries = [];
for (const {name, examples} of definitions) {
  for (const example of examples) {
    deliveries.push({name, id: `example-${deliveries.length}`, body: JSON.stringify(example)});
  }
}
assert.equal(deliveries.length, 329);

async function send(hook, {name, id, body}, signature) {
  const response = await fetch(hook.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/044aadd',
      'x-github-event': name,
      'x-github-delivery': id,
      'x-hub-signature-256': signature,
    },
    body,
  });
  await response.arrayBuffer();
  return response.status;
}

async function get(path) {
  const response = await fetch(API + path, {headers: {authorization: `Bearer ${TOKEN}`}});
  assert.equal(response.status, 200, path);
  return response.json();
}

async function countRuns(flow, status) {
  let count = 0;
  let cursor = '';
  do {
    const page = await get(`/runs?flow_id=${flow}&limit=200${status}${cursor && `&cursor=${cursor}`}`);
    count += page.data.length;
    cursor = page.next ?? '';
  } while (cursor);
  return count;
}

async function waitForRuns(flow, expected) {
  for (let i = 0; i < 300; ++i) {
    if (await countRuns(flow, '&status=completed') >= expected) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(await countRuns(flow, '&status=completed'), expected);
  assert.equal(await countRuns(flow, ''), expected);
}

for (const hook of hooks) {
  const webhooks = new Webhooks({secret: hook.secret});
  const expected = deliveries.filter(({name}) => name === hook.event).length;
  for (let turn = 0; turn < 2; ++turn) {  // the second time nothing new happens
    for (const delivery of deliveries) {
      const status = await send(hook, delivery, await webhooks.sign(delivery.body));
      assert.equal(Math.floor(status / 100), 2, `${hook.event} hook: ${delivery.name} ${delivery.id}: ${status}`);
    }
    await waitForRuns(hook.flow, expected);
  }
  const other = await new Webhooks({secret: 'another'}).sign(deliveries[0].body);
  assert.equal(await send(hook, {...deliveries[0], id: 'forged'}, other), 401);
  console.log(`${hook.event}: ${deliveries.length} deliveries accepted twice, ${expected} runs`);
}
