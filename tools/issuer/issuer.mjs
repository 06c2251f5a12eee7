// An authorization server whose tokens a client gets with its own credentials.
//
// Tokens for the resource urn:vmcp say nothing themselves, those for urn:vmcp:jwt are JWTs; both are
// meant for the audience `vmcp-tests`. The subject of a token is its client, or whoever it was exchanged for.
//
// With a folder it has a client `vmcp-key`, whose private key it writes there as key.pem.
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Provider, errors } from "oidc-provider";

const port = Number(process.argv[2]);
const folder = process.argv[3];
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const issuer = `http://127.0.0.1:${port}`;

const client = (client_id, client_secret, more) => ({
  client_id,
  client_secret,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  ...more,
});

const withKey = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "key.pem"), privateKey.export({ type: "pkcs8", format: "pem" }));
  const key = { ...publicKey.export({ format: "jwk" }), kid: "one", use: "sig", alg: "ES256" };
  return client("vmcp-key", undefined, {
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "ES256",
    jwks: { keys: [key] },
  });
};

const provider = new Provider(issuer, {
  clients: [
    ...(folder ? [withKey()] : []),
    // What stands in these must be encoded.
    client("caller:one", "p@ss: word%+"),
    client("caller-two", "two"),
    client("vmcp:gateway", "s3cret: %+&=", { grant_types: ["client_credentials", EXCHANGE] }),
  ],
  scopes: ["tools", "read"],
  extraTokenClaims: (_context, token) => ({ sub: token.extra?.of ?? token.clientId }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => ({
        scope: "tools read",
        audience: "vmcp-tests",
        accessTokenTTL: 3600,
        accessTokenFormat: resource === "urn:vmcp:jwt" ? "jwt" : "opaque",
      }),
    },
  },
});

// RFC 8693, which oidc-provider leaves to who runs it.
const members = ["subject_token", "subject_token_type", "requested_token_type", "audience", "scope"];
provider.registerGrantType(
  EXCHANGE,
  async (context) => {
    const { client, params } = context.oidc;
    const { ClientCredentials } = context.oidc.provider;
    const subject = await ClientCredentials.find(params.subject_token);
    if (!subject || params.subject_token_type !== ACCESS_TOKEN) {
      throw new errors.InvalidGrant("the subject token is no good");
    }
    const token = new ClientCredentials({ client, scope: params.scope, extra: { of: subject.clientId } });
    context.body = {
      access_token: await token.save(),
      token_type: token.tokenType,
      expires_in: token.expiration,
      issued_token_type: ACCESS_TOKEN,
    };
  },
  members,
);

provider.on("server_error", (_context, error) => console.error(error));
provider.listen(port, "127.0.0.1", () => console.log(`listening on ${issuer}`));
