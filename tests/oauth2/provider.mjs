// panva's oidc-provider, a certified OpenID provider, on a free port of this machine.
//
// Its arguments are the client's metadata as JSON and, if wanted, a port and lifetimes (JSON, seconds). It writes its issuer on one line, and ends with its standard input.
// Everything but the client, the person's claims, PKCE for all, a key of each kind, and APIs whose address ends in /jwt
// or not and so says what their access tokens are like, is the provider's own default.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const client = JSON.parse(process.argv[2]);
const server = createServer();
await new Promise((listening) => server.listen(Number(process.argv[3] ?? 0), '127.0.0.1', listening));

const key = (kind, options) => generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' });

const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
  clients: [client],
  cookies: { keys: ['keys-for-tests'] },
  claims: { openid: ['sub'], profile: ['name', 'given_name', 'family_name'], email: ['email', 'email_verified'] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
  jwks: { keys: [key('rsa', { modulusLength: 2048 }), key('ec', { namedCurve: 'P-256' }), key('ed25519')] },
  scopes: ['openid', 'offline_access', 'read', 'write'],
  features: {
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'read write',
        accessTokenFormat: resource.endsWith('/jwt') ? 'jwt' : 'opaque',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
    revocation: { enabled: true },
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  // A test moves the application's clock on until an access token is over; the ID token of the refresh must not be.
  ttl: { IdToken: 24 * 3600, ...JSON.parse(process.argv[4] ?? '{}') },
  // Its own default refuses this machine's addresses, where the application that it tells of a logout listens.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  findAccount: (ctx, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: `Name of ${sub}`, email: `${sub}@example.org`, email_verified: true }),
  }),
});

server.on('request', provider.callback());
process.stdout.write(`${provider.issuer}\n`);
process.stdin.on('end', () => process.exit(0)).resume();
