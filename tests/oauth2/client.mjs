// panva's openid-client, a certified relying party, as an application that logs somebody in, with all that it checks.
//
// Its one argument says which server and client, as JSON. It writes the address where the person signs in on one line,
// reads the address of the callback from its standard input, and writes what it got on another line, as JSON.

import { createInterface } from 'node:readline';
import * as client from 'openid-client';

const { issuer, client_id, client_secret, redirect_uri, post_logout_redirect_uri } = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const server = await client.discovery(
  new URL(issuer), client_id, {}, client.ClientSecretBasic(client_secret),
  { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] },
);

const verifier = client.randomPKCECodeVerifier();
const [state, nonce] = [client.randomState(), client.randomNonce()];
const address = client.buildAuthorizationUrl(server, {
  redirect_uri, state, nonce,
  scope: 'openid profile email offline_access',
  prompt: 'consent',
  max_age: '600',
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
});
console.log(address.href);

const callback = new URL((await lines.next()).value);
const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 600, idTokenExpected: true };
const tokens = await client.authorizationCodeGrant(server, callback, checks);
const { sub } = tokens.claims();
const userinfo = await client.fetchUserInfo(server, tokens.access_token, sub);
const refreshed = await client.refreshTokenGrant(server, tokens.refresh_token);
const before = await client.tokenIntrospection(server, refreshed.access_token);
await client.tokenRevocation(server, refreshed.refresh_token);
const after = await client.tokenIntrospection(server, refreshed.access_token);
const logout = client.buildEndSessionUrl(server, {
  post_logout_redirect_uri, state: 'a-state', id_token_hint: tokens.id_token,
});

console.log(JSON.stringify({
  userinfo,
  refreshed: refreshed.access_token !== tokens.access_token,
  refreshed_sub: refreshed.claims()?.sub ?? null,
  active: [before.active, after.active],
  logout: logout.href,
}));
process.exit(0);
