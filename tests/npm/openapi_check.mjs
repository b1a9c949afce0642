// Validates recorded exchanges with providers, both what was sent and what the simulators answered, against the
// providers' OpenAPI descriptions.
//   node openapi_check.mjs RECORD GITHUB_DESCRIPTION DISCORD_DESCRIPTION
// RECORD: a line of JSON an exchange, as patchbay-sim --record writes it. Exit code 1: faults, or something that had to
// be seen was not; each is told in a line.
import {readFileSync} from 'node:fs';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';

const formats = {
  'date-time': (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !isNaN(Date.parse(text)),
  uri: (text) => URL.canParse(text),
  snowflake: (text) => /^\d{1,20}$/.test(text) && BigInt.asUintN(64, BigInt(text)) === BigInt(text),
  nonce: (text) => text.length <= 25,
  int32: {type: 'number', validate: (value) => Number.isInteger(value) && Math.abs(value) < 2 ** 31},
  double: {type: 'number', validate: Number.isFinite},
  int64: {type: 'number', validate: Number.isInteger},
};

class Description {
  constructor(provider, file, compiler, prefix) {
    this.provider = provider;
    this.prefix = prefix;
    this.document = JSON.parse(readFileSync(file, 'utf8'));
    this.ajv = new compiler({strict: false, allErrors: true, formats, validateFormats: true, discriminator: false});
    this.compiled = new Map();
    this.seen = new Map();
  }

  prepare(patch) {
    patch(this.document);
    this.ajv.addSchema(this.document, 'api');
    return this;
  }

  // {path: the template, operation, parameters in the path}; undefined when it is not described.
  find(method, path) {
    if (!path.startsWith(this.prefix)) return undefined;
    const parts = path.slice(this.prefix.length).split('/');
    for (const [template, methods] of Object.entries(this.document.paths)) {
      const wanted = template.split('/');
      const matches = wanted.length === parts.length && wanted.every((part, i) => part.startsWith('{') || part === parts[i]);
      if (matches && methods[method.toLowerCase()]) return {template, operation: methods[method.toLowerCase()]};
    }
    return undefined;
  }

  // The faults of a value by the schema at a JSON pointer.
  check(pointer, value) {
    let validate = this.compiled.get(pointer);
    if (!validate) {
      validate = this.ajv.compile({$ref: `api#${pointer}`});
      this.compiled.set(pointer, validate);
    }
    if (validate(value)) return [];
    return validate.errors.slice(0, 5).map((error) => `${error.instancePath || '/'} ${error.message}`);
  }

  resolve(pointer) {
    const at = (path) => path.split('/').slice(1).reduce((node, key) => node?.[decode(key)], this.document);
    const node = at(pointer);
    return node?.$ref ? node.$ref.slice(1) : pointer;
  }

  note(what) {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }
}

const encode = (key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'));
const decode = (key) => decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~');

// ajv knows "nullable" beside "type" only, and wants null among the values of an "enum" that is nullable; GitHub answers
// null there ("state_reason" of a new issue).
function mendGithub(node) {
  if (Array.isArray(node)) return node.forEach(mendGithub);
  if (node === null || typeof node !== 'object') return;
  if (node.nullable === true && node.type === undefined) delete node.nullable;
  if (node.nullable === true && Array.isArray(node.enum)) node.enum.push(null);
  Object.values(node).forEach(mendGithub);
}

// Discord's description says that the codes in the tree of errors are integers; its documentation and its answers have texts ("BASE_TYPE_MAX_LENGTH").
function mendDiscord(document) {
  document.components.schemas.InnerErrors.properties._errors.items = {
    type: 'object',
    required: ['code', 'message'],
    properties: {code: {type: ['string', 'integer']}, message: {type: 'string'}},
  };
}

function checkRequest(api, exchange, {template, operation}) {
  const base = `/paths/${encode(template)}/${exchange.method.toLowerCase()}`;
  if (operation.requestBody === undefined || exchange.request === null) {
    return operation.requestBody?.required ? ['there is no body'] : [];
  }
  api.note(`${exchange.method} ${template} request`);
  return api.check(`${base}/requestBody/content/${encode('application/json')}/schema`, exchange.request);
}

function checkResponse(api, exchange, {template, operation}) {
  const {status, response} = exchange;
  const base = `/paths/${encode(template)}/${exchange.method.toLowerCase()}/responses`;
  const key = [String(status), `${String(status)[0]}XX`, 'default'].find((name) => operation.responses[name]);
  if (key === undefined) {
    // GitHub does not describe for each operation what any of them may answer.
    const common = api.provider === 'github' && [400, 401, 403, 404, 429].includes(status);
    if (!common) return [`status ${status} is not described`];
    if (typeof response === 'string') return [];  // the page about the missing User-Agent
    return api.check('/components/schemas/basic-error', response);
  }
  const described = api.resolve(`${base}/${encode(key)}`);
  const content = `${described}/content/${encode('application/json')}/schema`;
  api.note(`${exchange.method} ${template} ${status}`);
  const has = content.split('/').slice(1).reduce((node, part) => node?.[decode(part)], api.document) !== undefined;
  if (!has) return response === null ? [] : ['there is a body, but none is described'];
  if (typeof response === 'string' && status === 403) return [];
  return api.check(content, response);
}

// What the plugins do must be among it, or the check proves nothing.
const expected = {
  github: [
    'POST /repos/{owner}/{repo}/hooks request', 'POST /repos/{owner}/{repo}/hooks 201', 'POST /repos/{owner}/{repo}/hooks 422',
    'GET /repos/{owner}/{repo}/hooks 200', 'PATCH /repos/{owner}/{repo}/hooks/{hook_id} request',
    'PATCH /repos/{owner}/{repo}/hooks/{hook_id} 200', 'DELETE /repos/{owner}/{repo}/hooks/{hook_id} 204',
    'DELETE /repos/{owner}/{repo}/hooks/{hook_id} 404', 'POST /repos/{owner}/{repo}/hooks/{hook_id}/pings 204',
    'POST /repos/{owner}/{repo}/issues request', 'POST /repos/{owner}/{repo}/issues 201',
    'POST /repos/{owner}/{repo}/issues 422', 'GET /repos/{owner}/{repo}/issues 200',
  ],
  discord: [
    'POST /channels/{channel_id}/messages request', 'POST /channels/{channel_id}/messages 200',
    'POST /channels/{channel_id}/messages 400', 'POST /channels/{channel_id}/messages 401',
    'POST /channels/{channel_id}/messages 404', 'POST /channels/{channel_id}/messages 429',
    'GET /channels/{channel_id}/messages 200',
  ],
};

const [record, githubFile, discordFile] = process.argv.slice(2);
const apis = {
  github: new Description('github', githubFile, Ajv, '').prepare(mendGithub),
  discord: new Description('discord', discordFile, Ajv2020, '/api/v10').prepare(mendDiscord),
};
const faults = [];
const undescribed = new Set();
let count = 0;
for (const line of readFileSync(record, 'utf8').split('\n').filter(Boolean)) {
  const exchange = JSON.parse(line);
  const api = apis[exchange.provider];
  if (!api) continue;
  const found = api.find(exchange.method, exchange.path);
  if (!found) {
    undescribed.add(`${exchange.provider} ${exchange.method} ${exchange.path.replaceAll(/\d+/g, 'N')}`);
    continue;
  }
  ++count;
  const tell = (direction, list) =>
    list.forEach((fault) => faults.push(`${exchange.provider} ${exchange.method} ${found.template} ${direction}: ${fault}`));
  // What the provider refuses need not be valid: tests send such things on purpose.
  if (exchange.status < 400 || exchange.forced) tell('request', checkRequest(api, exchange, found));
  if (!exchange.forced) tell(`answer ${exchange.status}`, checkResponse(api, exchange, found));
}
for (const [provider, list] of Object.entries(expected)) {
  for (const what of list) if (!apis[provider].seen.has(what)) faults.push(`${provider} ${what}: was not seen`);
}
for (const line of undescribed) console.log(`not described, not checked: ${line}`);
for (const fault of new Set(faults)) console.log(`FAULT ${fault}`);
console.log(`${count} exchanges checked, ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
