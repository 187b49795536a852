// Logs on to a terminal server and runs a command there; nothing of tsfarm is used.
//
//     node logon.mjs HOST PORT AUTHORITY USER password PASSWORD COMMAND
//     node logon.mjs HOST PORT AUTHORITY USER ssh KEY COMMAND      KEY: Ed25519, PKCS #8, PEM
//
// Prints the output, and says on standard error how it logged on; exits with the command's
// status, or 255 when it is refused. A command runs where it is asked for, so nothing redirects it.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:tls";
import { decode, encode, ExtData } from "@msgpack/msgpack";
import { argon2id } from "hash-wasm";

const [host, port, authority, userName, method, secret, command] = process.argv.slice(2);
const VERSION = 2;
const CLIENT = 1;
const NUMBER = {
  hello: 1, welcome: 2, heartbeat: 3, goodbye: 4, licenseRequest: 10, licenseInfo: 11,
  newLicense: 12, licenseStored: 13, licenseAccepted: 14, logonRefused: 16,
  logonAccepted: 18, sessionEnded: 22, logonStart: 23, logonChallenge: 24, logonProof: 25,
};
const PASSWORD = 1;
const SSH_KEY = 2;
const LICENSE_ID = 4; // its place among a token's claims
const REFUSED = 255;
const HEADER_BYTES = 6;
const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex");

// --- bytes ---------------------------------------------------------------------------------------

const sha256 = (data) => createHash("sha256").update(data).digest();
const sha512 = (data) => createHash("sha512").update(data).digest();

function prefixed(...parts) {
  return Buffer.concat(parts.flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    return [length, Buffer.from(part)];
  }));
}

function number(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

const text = (value) => Buffer.from(value, "utf8");

/** The 32 bytes of an Ed25519 key's public half. */
function raw(key) {
  return Buffer.from(createPublicKey(key).export({ format: "jwk" }).x, "base64url");
}

// --- keys ----------------------------------------------------------------------------------------

const device = generateKeyPairSync("ed25519").privateKey;
const sshKey = method === "ssh" ? createPrivateKey(readFileSync(secret)) : null;
const sshBlob = sshKey && prefixed(text("ssh-ed25519"), raw(sshKey));

async function passwordKey(farm, salt, memory, passes, lanes) {
  const tag = await argon2id({
    password: secret, salt, iterations: passes, memorySize: memory, parallelism: lanes,
    hashLength: 32, outputType: "binary",
  });
  const named = prefixed(text(farm), text(userName.normalize("NFC")), tag);
  const seed = sha256(Buffer.concat([text("tsfarm user key 1\0"), named]));
  const pkcs8 = Buffer.concat([PKCS8_ED25519, seed]);
  return createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
}

// --- the logon -----------------------------------------------------------------------------------

/** Gives the command's exit status. */
function logOn() {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host, port: Number(port), ca: readFileSync(authority), minVersion: "TLSv1.3",
      checkServerIdentity: () => undefined, // its name is in a URI, see below
    });
    let pending = Buffer.alloc(0);
    let farm = "";
    let server = "";
    let certificate = Buffer.alloc(32);
    const send = (...message) => {
      const body = encode(message);
      const header = Buffer.alloc(HEADER_BYTES);
      header[0] = 0xc9;
      header.writeUInt32BE(body.length, 1);
      socket.write(Buffer.concat([header, body]));
    };

    async function onMessage([kind, , ...fields]) {
      switch (kind) {
        case NUMBER.welcome: {
          const shown = socket.getPeerCertificate();
          certificate = sha256(shown.raw);
          const found = /URI:tsfarm:\/\/([^/]+)\/terminal-server\/([^,\s]+)/.exec(shown.subjectaltname);
          if (!found || found[1] !== fields[3] || found[2] !== fields[2]) {
            throw new Error(`the certificate is of ${shown.subjectaltname}`);
          }
          farm = found[1];
          server = found[2];
          break;
        }
        case NUMBER.heartbeat:
          break;
        case NUMBER.licenseRequest: {
          const proof = Buffer.concat([text("tsfarm device proof 1\0"), fields[0], certificate]);
          send(NUMBER.licenseInfo, 0, raw(device), sign(null, proof, device), "node", userName);
          break;
        }
        case NUMBER.newLicense:
          send(NUMBER.licenseStored, 0, decode(decode(fields[0])[0])[LICENSE_ID]);
          break;
        case NUMBER.licenseAccepted:
          send(NUMBER.logonStart, 0, userName.normalize("NFC"), "", 0, 0,
            sshBlob ? [sha256(sshBlob)] : []);
          break;
        case NUMBER.logonChallenge:
          await prove(fields);
          break;
        case NUMBER.logonAccepted:
          console.error(`${userName} on ${fields[0]} by ${method}`);
          break;
        case NUMBER.sessionEnded:
          socket.end();
          resolve(fields[0]);
          break;
        case NUMBER.logonRefused:
        case NUMBER.goodbye:
          throw new Error(`refused with ${fields[0]}: ${fields[1]}`);
        default:
          throw new Error(`message ${kind} has no place here`);
      }
    }

    async function prove([nonce, time, methods, salt, memory, passes, lanes, fingerprint]) {
      const by = sshKey ? SSH_KEY : PASSWORD;
      const asked = prefixed(text(""), text(command), number(0), number(0));
      const statement = Buffer.concat([text("tsfarm user proof 1\0"), prefixed(
        text(farm), text(server), certificate, nonce, number(time), sha256(raw(device)),
        text(userName.normalize("NFC")), number(by), number(methods), salt, number(memory),
        number(passes), number(lanes), sha256(asked),
      )]);
      let algorithm = "ed25519";
      let signature;
      if (sshKey) {
        if (!fingerprint || Buffer.compare(fingerprint, sha256(sshBlob)) !== 0) {
          throw new Error("the host does not know this SSH key");
        }
        algorithm = "ssh-ed25519";
        const data = Buffer.concat([text("SSHSIG"), prefixed(
          text("logon@tsfarm"), text(""), text("sha512"), sha512(statement),
        )]);
        signature = sign(null, data, sshKey);
      } else {
        signature = sign(null, statement, await passwordKey(farm, salt, memory, passes, lanes));
      }
      send(NUMBER.logonProof, 0, by, algorithm, signature, command, 80, 24, "xterm-256color");
    }

    let turn = Promise.resolve();

    function onFrame(kind, body) {
      if (kind === 1) process.stdout.write(body);
      else turn = turn.then(() => onMessage(decode(body))).catch(fail);
    }

    function fail(error) {
      socket.destroy();
      reject(error);
    }

    socket.on("secureConnect", () => send(NUMBER.hello, 0, VERSION, VERSION, CLIENT, "node"));
    socket.on("data", (data) => {
      pending = Buffer.concat([pending, data]);
      while (pending.length >= HEADER_BYTES) {
        const end = HEADER_BYTES + pending.readUInt32BE(1);
        if (pending.length < end) break;
        onFrame(pending.readInt8(5), pending.subarray(HEADER_BYTES, end));
        pending = pending.subarray(end);
      }
    });
    socket.on("error", fail);
    socket.on("close", () => turn.then(() => reject(new Error("the host hung up"))));
  });
}

try {
  process.exitCode = await logOn();
} catch (error) {
  console.error(error.message);
  process.exitCode = REFUSED;
}
