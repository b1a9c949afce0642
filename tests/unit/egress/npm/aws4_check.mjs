// Signs with aws4 what aws4_record signed, and compares the signatures.
//   node aws4_check.mjs RECORD
// RECORD: a line of JSON a request, as aws4_record writes it. Exit code 1: a signature differs.
import {readFileSync} from 'node:fs';
import aws4 from 'aws4';

const lines = readFileSync(process.argv[2], 'utf8').trim().split('\n').map((line) => JSON.parse(line));

function signedByAws4({url, method, headers, body, region, service, place, token, time, expires}) {
  const {host} = new URL(url);
  let path = url.slice(url.indexOf(host) + host.length);
  const request = {method, body, region, service, headers: {...headers, Host: host}};
  request.extraHeadersToIgnore = {'content-length': true};  // aws4 adds it; with us it is libcurl's
  if (place === 'query') {
    request.signQuery = true;
    path += `${path.includes('?') ? '&' : '?'}X-Amz-Date=${time}&X-Amz-Expires=${expires}`;
  } else {
    request.headers['X-Amz-Date'] = time;
  }
  const keys = {accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'};
  if (token) keys.sessionToken = token;
  return aws4.sign({...request, path}, keys);
}

const signatureOf = (text) => /Signature=([0-9a-f]{64})(&|$)/.exec(text)?.[1];

let wrong = 0;
for (const line of lines) {
  const theirs = signedByAws4(line);
  const expected = signatureOf(line.place === 'query' ? theirs.path : theirs.headers.Authorization);
  const found = signatureOf(line.place === 'query' ? line.signed_url : line.authorization);
  if (expected !== undefined && found === expected) continue;
  wrong += 1;
  console.error(`${JSON.stringify(line)}\n  aws4 says ${expected}`);
}
console.log(`${lines.length} requests, ${wrong} signed otherwise`);
process.exit(wrong === 0 && lines.length >= 1000 ? 0 : 1);
