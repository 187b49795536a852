// Checks the test vectors with node's own msgpack library and crypto; nothing of tsfarm is used.
//
//     node check.mjs [FOLDER]      FOLDER of vectors, ../vectors by default
//
// Prints one line a fault with the vector's id, then a summary; exits 1 after a fault.

import { createHash, createPrivateKey, createPublicKey, verify, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { decode, decodeMulti, encode, ExtData } from "@msgpack/msgpack";
import { argon2id } from "hash-wasm";

const EXT32 = 0xc9;
const HEADER_BYTES = 6;
const MESSAGE_KIND = 0;
const SESSION_KIND = 1;
// Integers of 64 bits come and go as BigInt: 2^53 is in bounds, and is no safe number.
const BIG = { useBigInt64: true };
const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex");
const U32_MAX = 2 ** 32 - 1;

const folder = process.argv[2] ?? fileURLToPath(new URL("../vectors", import.meta.url));
const faults = [];
const done = {
  frames: 0, "broken frames": 0, tokens: 0, "device proofs": 0, endorsements: 0, "users' keys": 0,
  "user proofs": 0, datagrams: 0,
};

function read(file) {
  return JSON.parse(readFileSync(`${folder}/${file}`, "utf8"));
}

function hex(text) {
  return Uint8Array.from(Buffer.from(text, "hex"));
}

function same(one, other) {
  return Buffer.compare(one, other) === 0;
}

/** Run one vector's check; what it throws, or a false result, is a fault of that vector. */
function check(kind, id, holds) {
  done[kind] += 1;
  try {
    for (const [what, result] of Object.entries(holds())) {
      if (!result) faults.push(`${id}: ${what}`);
    }
  } catch (error) {
    faults.push(`${id}: ${error.message}`);
  }
}

/** A vector's `values` as msgpack values: an object is the array of what is in it. */
function wire(value) {
  if (typeof value === "number") return value > U32_MAX ? BigInt(value) : value;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(wire);
  const names = Object.keys(value);
  if (names.length === 1 && names[0] === "hex") return hex(value.hex);
  return Object.values(value).map(wire);
}

/** What was read, filled in with `meant` where fields are missing, cut where they are unknown. */
function knownPart(got, meant) {
  if (!Array.isArray(got) || !Array.isArray(meant)) return got;
  return meant.map((each, index) => (index < got.length ? knownPart(got[index], each) : each));
}

/** The library reads an ext 32 object as any other ext, and would write a shorter form of it. */
function framed(body, kind) {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = EXT32;
  header.writeUInt32BE(body.length, 1);
  header.writeInt8(kind, 5);
  return Buffer.concat([header, body]);
}

function unframed(frame) {
  const ext = decode(frame, BIG);
  if (!(ext instanceof ExtData)) throw new Error("the frame is no ext object");
  return { kind: ext.type, body: Uint8Array.from(ext.data) };
}

// --- frames --------------------------------------------------------------------------------------

function checkMessages(file) {
  const { number, valid } = read(file);
  for (const vector of valid) {
    check("frames", vector.id, () => {
      const frame = hex(vector.frame);
      const { kind, body } = unframed(frame);
      const got = decode(body, BIG);
      const meant = [number, ...wire(vector.values)];
      const written = framed(encode(meant, BIG), MESSAGE_KIND);
      return {
        "it is no message": kind === MESSAGE_KIND,
        "it means something else": isDeepStrictEqual(knownPart(got, meant), meant),
        "encoded again it differs": same(framed(encode(got, BIG), kind), frame),
        "its values encode to something else": same(written, frame) === vector.canonical,
      };
    });
  }
}

function checkFrames() {
  const { session, streams, invalid } = read("frames.json");
  for (const vector of session) {
    check("frames", vector.id, () => {
      const { kind, body } = unframed(hex(vector.frame));
      return { "it is another frame": kind === SESSION_KIND && same(body, hex(vector.bytes)) };
    });
  }
  for (const vector of streams) {
    check("frames", vector.id, () => {
      const kinds = [...decodeMulti(hex(vector.stream), BIG)].map((ext) => ext.type);
      return { "it splits otherwise": isDeepStrictEqual(kinds, vector.kinds) };
    });
  }
  for (const vector of invalid.filter((each) => each.id.startsWith("frame/"))) {
    check("broken frames", vector.id, () => ({
      "another code": headerFault(Buffer.from(vector.frame, "hex"), vector.frame_bytes) === vector.code,
    }));
  }
}

function headerFault(frame, frameBytes) {
  if (frame[0] !== EXT32) return "MALFORMED_FRAME";
  if (frame.readUInt32BE(1) > frameBytes) return "FRAME_TOO_LONG";
  const kind = frame.readInt8(5);
  return kind === MESSAGE_KIND || kind === SESSION_KIND ? "NORMAL" : "UNKNOWN_FRAME_KIND";
}

// --- signatures ----------------------------------------------------------------------------------

function ed25519(publicKey) {
  const x = Buffer.from(publicKey, "hex").toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

function signed(domain, ...parts) {
  return Buffer.concat([Buffer.from(domain, "hex"), ...parts]);
}

function checkTokens() {
  const { authority, claims: names, domain, issuers, vectors } = read("tokens.json");
  for (const [name, issuer] of Object.entries(issuers)) {
    check("tokens", `issuer/${name}`, () => {
      const certificate = new X509Certificate(hex(issuer.certificate));
      const ofAuthority = certificate.verify(ed25519(authority.public_key));
      return {
        "its certificate has another key": certificate.publicKey.equals(ed25519(issuer.public_key)),
        "its certificate is signed otherwise": ofAuthority === (name !== "foreign"),
      };
    });
  }
  for (const vector of vectors) {
    check("tokens", vector.id, () => {
      const parts = tokenParts(hex(vector.token));
      if (parts === null) return { "it cannot be read": vector.code === "LICENSE_TAMPERED" };
      const [claims, signature] = parts;
      const key = ed25519(issuers[vector.issuer].public_key);
      const good = verify(null, signed(domain, claims), key, signature);
      if (vector.code !== "NORMAL") return { "its signature": good === vector.signature_is_good };
      const meant = wire(vector.claims);
      return {
        "its signature": good,
        "its claims": isDeepStrictEqual(knownPart(decode(claims, BIG), meant), meant),
        "the names of its claims": isDeepStrictEqual(Object.keys(vector.claims), names),
      };
    });
  }
}

/** Claims and signature; null for what is no token in its one encoding. */
function tokenParts(token) {
  try {
    const parts = decode(token, BIG);
    const [claims, signature] = parts;
    const isPair = parts.length === 2 && signature instanceof Uint8Array;
    return isPair && claims instanceof Uint8Array && same(encode(parts, BIG), token) ? parts : null;
  } catch {
    return null;
  }
}

function checkDeviceProofs() {
  const { device_id: deviceId, domain, public_key: publicKey, vectors } = read("device-proofs.json");
  check("device proofs", "device-proof/id", () => ({
    "the device id": createHash("sha256").update(hex(publicKey)).digest("hex") === deviceId,
  }));
  for (const vector of vectors) {
    check("device proofs", vector.id, () => {
      const data = signed(domain, hex(vector.nonce), hex(vector.server_certificate));
      const good = verify(null, data, ed25519(publicKey), hex(vector.signature));
      return { "its signature": good === (vector.code === "NORMAL") };
    });
  }
}

function checkEndorsements() {
  const { authority, domain, vectors } = read("endorsements.json");
  const farm = new X509Certificate(hex(authority)).subjectAltName;
  for (const vector of vectors) {
    check("endorsements", vector.id, () => {
      const by = new X509Certificate(hex(vector.by));
      const good = verify(null, signed(domain, hex(authority)), by.publicKey, hex(vector.endorsement));
      return {
        "its signature": good === vector.signature_is_good,
        "it counts for another farm": !vector.counts || by.subjectAltName === farm,
      };
    });
  }
}

// --- users ---------------------------------------------------------------------------------------

function prefixed(...parts) {
  return Buffer.concat(parts.flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    return [length, Buffer.from(part)];
  }));
}

async function checkDerivations() {
  const { derivations, key_domain: domain } = read("user-proofs.json");
  // The library takes no empty password.
  for (const vector of derivations.filter(({ password }) => password)) {
    const tag = await argon2id({
      password: hex(vector.password), salt: hex(vector.salt), iterations: vector.passes,
      memorySize: vector.memory_kib, parallelism: vector.lanes, hashLength: 32, outputType: "binary",
    });
    const named = prefixed(Buffer.from(vector.farm), Buffer.from(vector.user_name.normalize("NFC")), tag);
    const seed = createHash("sha256").update(signed(domain, named)).digest();
    const pkcs8 = Buffer.concat([PKCS8_ED25519, seed]);
    const key = createPublicKey(createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" }));
    check("users' keys", vector.id, () => ({
      "its tag": same(tag, hex(vector.tag)),
      "its seed": same(seed, hex(vector.seed)),
      "its public key": key.equals(ed25519(vector.public_key)),
    }));
  }
}

/** A value of a user proof: text, bytes, or a number of eight bytes. */
function proved(value) {
  if (typeof value === "string") return Buffer.from(value.normalize("NFC"));
  if (typeof value === "object") return hex(value.hex);
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function checkUserProofs() {
  const { domain, vectors } = read("user-proofs.json");
  for (const vector of vectors) {
    check("user proofs", vector.id, () => {
      const values = Object.values(vector.values).map(proved);
      const asked = createHash("sha256").update(prefixed(...values.slice(-4))).digest();
      const data = signed(domain, prefixed(...values.slice(0, -4), asked));
      const good = verify(null, data, ed25519(vector.public_key), hex(vector.signature));
      return {
        "its bytes": same(data, hex(vector.signed)),
        "its signature": good === (vector.code === "NORMAL"),
      };
    });
  }
}

// --- datagrams -----------------------------------------------------------------------------------

function checkDatagrams() {
  const { answers, datagram_bytes: datagramBytes, queries } = read("discovery.json");
  for (const vector of [...queries, ...answers]) {
    check("datagrams", vector.id, () => {
      const datagram = hex(vector.datagram);
      const got = decode(datagram, BIG);
      return {
        "it means something else": isDeepStrictEqual(got, wire(vector.values)),
        "encoded again it differs": same(encode(got, BIG), datagram),
        "its length": datagram.length === datagramBytes || vector.id.startsWith("answer/"),
      };
    });
  }
}

const messages = readdirSync(folder).filter((file) => file.startsWith("message-"));
if (messages.length === 0) faults.push(`${folder}: no vectors`);
messages.forEach(checkMessages);
checkFrames();
checkTokens();
checkDeviceProofs();
checkEndorsements();
checkDatagrams();
checkUserProofs();
await checkDerivations();

for (const fault of faults) console.log(fault);
const counts = Object.entries(done).map(([kind, count]) => `${count} ${kind}`);
console.log(`${faults.length} faults in ${counts.join(", ")}`);
process.exitCode = faults.length === 0 ? 0 : 1;
