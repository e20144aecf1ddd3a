/**
 * What in a text must not be shown: values that look like credentials wherever they stand, and values whose name says
 * so. For log lines and messages, which are stored in clear, for payloads when they are shown (store/shown.ts), and
 * for the support bundle.
 */

export const SEALED = "«sealed»";

/** Names whose values are sealed, without their case, `-`, `_` and `.`; also as the end of a longer name. */
const SENSITIVE_ENDS = [
  "authorization",
  "cookie",
  "cookies",
  "password",
  "passwd",
  "passphrase",
  "secret",
  "secrets",
  "token",
  "apikey",
  "accesskey",
  "secretkey",
  "signingkey",
  "encryptionkey",
  "privatekey",
  "credential",
  "credentials",
];
const SENSITIVE_WHOLE = new Set([
  "pwd",
  "pass",
  "jwt",
  "sessionid",
  "sid",
  "mysqlpwd",
  "xamzsignature",
  "awsaccesskeyid",
]);

/** Places in a list, which AWS and many others call tokens. */
const HARMLESS = new Set([
  "nexttoken",
  "nextpagetoken",
  "pagetoken",
  "continuationtoken",
  "nextcontinuationtoken",
  "paginationtoken",
  "starttoken",
  "synctoken",
  "clienttoken",
  "clientrequesttoken",
]);

export function isSensitiveName(name: string): boolean {
  // No name is that long; a value that stands where a name should is not worth the search.
  if (name.length > 128) return false;
  const plain = name.toLowerCase().replaceAll(/[-_.\s]/g, "");
  if (HARMLESS.has(plain)) return false;
  return SENSITIVE_WHOLE.has(plain) || SENSITIVE_ENDS.some((end) => plain.endsWith(end));
}

/** Values that are credentials by their look. None can match across a line, and none backtracks. */
const VALUES = new RegExp(
  [
    // AWS: access key id; session token
    String.raw`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`,
    String.raw`\b(?:IQoJ|FwoG|FQoG)[A-Za-z0-9/+=%]{80,}`,
    // JSON Web Token
    String.raw`\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*`,
    // GitHub, Slack, Stripe, npm, OpenAI and Anthropic
    String.raw`\bgh[pousr]_\w{30,}`,
    String.raw`\bgithub_pat_\w{30,}`,
    String.raw`\bxox[abeoprs]-[\w-]{10,}`,
    String.raw`\b[rs]k_(?:live|test)_\w{16,}`,
    String.raw`\bnpm_[A-Za-z0-9]{36}`,
    String.raw`\bsk-[\w-]{20,}`,
    // the scheme of an Authorization header and what follows it
    String.raw`\b(?:Bearer|Basic) +[\w.~+/-]{8,}=*`,
  ].join("|"),
  "g",
);

/** A key in PEM; a line break may be an escape of JSON's. Without an end it goes to the end of the text. */
const PEM =
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:(?!-----END)[^"'])*(?:-----END [A-Z0-9 ]{0,40}-----)?/g;

/** Forty characters of base64, as AWS's secret access keys are; `looksRandom` tells them from hashes and paths. */
const FORTY = /(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])/g;

const looksRandom = (text: string) =>
  /[A-Z]/.test(text) && /[a-z]/.test(text) && /\d/.test(text) && new Set(text).size >= 22;

/**
 * `name: "value"`, also inside JSON that was put into JSON (`\"name\":\"value\"`). A name is tried from its first
 * character only: from each of them, a long word would cost its length squared.
 */
const QUOTED =
  /(?<![\w.-])([\w.-]{2,128})(\\{0,7}["']?\s{0,8}[:=]\s{0,8}\\{0,7})(["'])((?:(?!\3)[^\\\n]|\\(?!\\{0,6}\3)[^\n]?){1,16384})/g;

/** `name=value` of a query, a form, an environment. */
const ASSIGNED = /(?<![\w.-])([\w.-]{2,128})=([^\s&"'\\;,«]{1,16384})/g;

/** A header as it stands on the wire: `Cookie: a=b; c=d`. */
const HEADER =
  /\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-amz-security-token)(:\s{0,8})([^\s"'«][^\r\n"'«]{0,16384})/gi;

/** `redis://user:password@host`. */
const IN_URL = /(:\/\/[^\s:@/?#"'«]{0,128}:)[^\s@/?#"'«]{1,512}(?=@)/g;

/** The text without what looks like a credential. The same object back where there is none. */
export function redact(text: string): string {
  let shown = text.includes("PRIVATE KEY") ? text.replace(PEM, SEALED) : text;
  shown = shown.replace(HEADER, (_, name: string, between: string) => `${name}${between}${SEALED}`);
  shown = shown.replace(QUOTED, (whole, name: string, between: string, quote: string) =>
    isSensitiveName(name) ? `${name}${between}${quote}${SEALED}` : whole,
  );
  shown = redactAssigned(shown);
  if (shown.includes("://")) shown = shown.replace(IN_URL, `$1${SEALED}`);
  shown = shown.replace(VALUES, SEALED);
  return shown.replace(FORTY, (value) => (looksRandom(value) ? SEALED : value));
}

export function redactAssigned(text: string): string {
  if (!text.includes("=")) return text;
  return text.replace(ASSIGNED, (whole, name: string) =>
    isSensitiveName(name) ? `${name}=${SEALED}` : whole,
  );
}
