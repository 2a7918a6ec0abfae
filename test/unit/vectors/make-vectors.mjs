// Writes wire_vectors.h: what the reference decoders make of a set of inputs.
//
//     node make-vectors.mjs [DIRECTORY WITH node_modules]  > wire_vectors.h
//
// The reference is socket.io-parser 4.2.7 and engine.io-parser 5.2.3, which
// come with the socket.io-client of test/client.  The output is committed;
// run this again only to add inputs.  An input is either one on which we must
// agree with the reference, or, with a reason, one that we deliberately refuse.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const home = resolve(process.argv[2] ?? fileURLToPath(new URL("../../client", import.meta.url)));
const require = createRequire(home + "/");
const { Decoder } = require("socket.io-parser");
const { decodePayload } = require("engine.io-parser");
const version = (name) => require(require.resolve(name).replace(/(.*node_modules\/[^/]+)\/.*/, "$1/package.json")).version;

// ---- Socket.IO ----

// The decoded packet in words, or "bad".  Binary packets get their attachments.
function socketio(input) {
  const decoder = new Decoder();
  let header;
  let words = "bad";
  decoder.on("decoded", (packet) => {
    const json = header.data;
    const tail = json === undefined ? "" : input.endsWith(json) ? json : "?";
    words = `${header.type} ${header.attachments ?? 0} ${packet.nsp} ${packet.id ?? "-"} ${tail}`;
  });
  try {
    header = new Decoder().decodeString(input);
    header.data = header.data === undefined ? undefined : JSON.stringify(header.data);
    decoder.add(input);
    for (let i = 0; i < (header.attachments ?? 0); i++) decoder.add(Buffer.from([i]));
  } catch {
    return "bad";
  }
  return words;
}

const agreed = [
  // types and payload kinds
  "0", '0{}', '0{"token":"t"}', "0[]", '0"s"', "0null", "01", "1", "1{}", "1null", "1,", "2", "2{}", "2[]", "2null",
  '2["a"]', '2["a",1,{"b":[]}]', "2[1]", "2[1,2]", "2[-0.5e3]", "2[null]", "2[true]", '2[["a"]]', '2[{"a":1}]', '2["a"', '2"a"', '2["a"]x',
  '2["a"] ', '2["a",]', "3", "3[]", '31["ok"]', "3{}", "3null", "4", '4"no"', '4{"message":"no"}', "4[]", "41", "7", "9[]", "a", "-1", "8", "b", "{}",
  // ack ids
  '20["a"]', '212["a"]', '2007["a"]', '29007199254740991["a"]', '2-1["a"]', '21.5["a"]', "21", "30[]", "3123456[]",
  // namespaces
  "0/,", "0/admin,", "0/admin", '0/admin,{"token":"t"}', "0/a?token=x&b=1,", "0/a/b,", "0//", "0/é,", "1/admin,", "1/admin", '2/admin,["a"]',
  '2/admin,7["a"]', '2/admin["a"]', '2/ad min,["a"]', '2/admin,/b,["a"]', '3/admin,7[]', '2,["a"]', '2admin,["a"]',
  // reserved names
  '2["connect"]', '2["connect_error"]', '2["disconnect"]', '2["disconnecting"]', '2["newListener"]', '2["removeListener"]',
  '2["\\u0063onnect"]', '2["\\u0072\\u0065\\u006d\\u006f\\u0076\\u0065\\u004c\\u0069\\u0073\\u0074\\u0065\\u006e\\u0065\\u0072"]',
  '2["Connect"]', '2["connect "]', '2["connected"]', '2["removeListener\\u0000"]', '2["error"]', '2[""]', '2["message","connect"]', '5["connect"]',
  '51-["connect",{"_placeholder":true,"num":0}]', '3["connect"]', '2["\\ud800"]',
  // attachments
  "5", "51", "51-", "6", "61-", "61-[]", '61-["a"]', "50-[]", '50-["a"]', '511-["a"]', '510-["a"]', '5100-["a"]', '599999999999-["a"]', '5-["a"]', '5-1-["a"]',
  '5a-["a"]', '51-/admin,["a",{"_placeholder":true,"num":0}]', '51-/admin,7["a",{"_placeholder":true,"num":0}]', '51-7["a"]', '51["a"]', '51.5-["a"]',
  '51-["a",{"_placeholder":true,"num":0}]', '51-["a",{"_placeholder":true,"num":1}]', '51-["a",{"_placeholder":true,"num":-1}]',
  '51-["a",{"_placeholder":true}]', '51-["a",{"_placeholder":true,"num":"0"}]', '51-["a",{"_placeholder":true,"num":null}]',
  '51-["a",{"_placeholder":false,"num":7}]', '51-["a",{"_placeholder":1,"num":7}]', '51-["a",{"num":7}]', '51-["a"]', '51-["a",[[{"b":{"_placeholder":true,"num":1}}]]]',
  '52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]', '52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]',
  '52-["a",[[{"b":{"_placeholder":true,"num":1}}]]]', '52-["a",[[{"b":{"_placeholder":true,"num":2}}]]]', '510-["a",{"_placeholder":true,"num":9}]',
  '510-["a",{"_placeholder":true,"num":10}]', '51-["a",{"num":0,"_placeholder":true}]', '51-["a",{"num":1,"_placeholder":true}]',
  '51-["a",{"_placeholder":true,"num":0,"x":[1,{"y":2}]}]', '51-["a",{"_placeholder":true,"num":1,"num":0}]', '51-["a",{"_placeholder":true,"num":0,"num":1}]',
  '51-["a",{"_placeholder":true,"num":5,"_placeholder":false}]', '51-["a",{"_placeholder":false,"num":5,"_placeholder":true}]',
  '51-["a",{"\\u005fplaceholder":true,"\\u006eum":1}]', '51-["a",{"_placeholder":true,"num":{"num":0}}]', '51-["a",{"x":{"_placeholder":true},"num":0}]',
  // ... and nothing of one object is left over for the next
  '51-["a",{"num":0},{"_placeholder":true}]', '51-["a",{"_placeholder":true,"num":0},{"num":1}]', '51-["a",[0],{"_placeholder":true,"num":[0]}]',
  // ... however its names are written
  '51-["a",{"\\u005f\\u0070\\u006c\\u0061\\u0063\\u0065\\u0068\\u006f\\u006c\\u0064\\u0065\\u0072":true,"\\u006e\\u0075\\u006d":1}]',
  '51-["a",{"\\u005f\\u0070\\u006c\\u0061\\u0063\\u0065\\u0068\\u006f\\u006c\\u0064\\u0065\\u0072":true,"\\u006e\\u0075\\u006d":0}]',
  '51-["a",{"_placeholder":[true],"num":5}]', '51-["a",["_placeholder",true,"num",5]]', '51-[{"_placeholder":true,"num":0}]', '2["a",{"_placeholder":true,"num":5}]',
  '61-[{"_placeholder":true,"num":0}]', '61-[{"_placeholder":true,"num":1}]', '51-["a",{"a":[],"_placeholder":true,"b":{},"num":1}]',
  // JSON
  '2["\\u12"]', '2["\\x"]', '2["\u0001"]', '2["\t"]', '2["a\\nb"]', "2[01]", "2[1.]", "2[.5]", "2[+1]", "2[1e]", "2[1e5]", "2[-]", "2[NaN]", "2['a']", '2["a",nul]',
  '2["a",tru e]', '2["a",undefined]', '2["a"]]', '2[["a"]', '2["a",{"b"}]', '2["a",{"b":}]', '2["a",{b:1}]', '2["a",{"b":1,}]', '2["a",{"b":1]]', '2["a"}',
  '2["a" , { "b" : [ 1 , 2 ] } ]', '2["é😀\u2028"]', '2["\\ud83d\\ude00"]', '2[1e999]', '2["a",{"__proto__":{"_placeholder":true}}]',
];

const stricter = [
  ["", "an empty packet is no CONNECT"],
  [" ", "nor is a blank one"],
  ['21 2["a"]', "space is no ack id"],
  ["1 ", "space is no ack id"],
  ['51.0-["a"]', "attachments are digits"],
  ['5 1-["a"]', "attachments are digits"],
  ['50x1-["a"]', "attachments are digits"],
  ['51e0-["a"]', "attachments are digits"],
  ['501-["a"]', "attachments have no leading zero"],
  ['218446744073709551616["a"]', "ack ids fit 64 bits"],
  ['51-["a",{"_placeholder":true,"num":0.0}]', "num is a plain integer"],
  ['51-["a",{"_placeholder":true,"num":0.5}]', "num is a plain integer"],
  ['51-["a",{"_placeholder":true,"num":-0}]', "num is a plain integer"],
  ['52-["a",{"_placeholder":true,"num":1e0}]', "num is a plain integer"],
  ['51-["a",{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":1}}]', "a placeholder within a placeholder counts"],
  ['51-["a",{"b":{"_placeholder":true,"num":1},"b":0}]', "so does one that a later member replaces"],
  ['2["a",' + "[".repeat(100) + "]".repeat(100) + "]", "nesting is at most JSON_MAX_DEPTH deep"],
];

// ---- Engine.IO polling bodies ----

const types = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

function engineio(body) {
  const words = [];
  for (const { type, data } of decodePayload(body, "nodebuffer")) {
    if (type === "error") words.push("bad");
    else if (Buffer.isBuffer(data)) words.push("b:" + data.toString("hex"));
    else words.push(types.indexOf(type) + ":" + (data ?? ""));
  }
  return words.join(" ");
}

const S = "\x1e";
const bodies = [
  "", "0", "1", "2", "3", "4", "5", "6", "7", "9", "a", "-", "B", "2probe", "4hello", '42["a"]', "4é", "4 4", `4a${S}4b`, `4a${S}`, `${S}4a`, S, `4a${S}${S}4b`,
  `4a${S}b${S}4b`, "b", "bAA==", "bAAE=", "bAAEC", "bAAECAw==", `b/+8=${S}2`, `451-["a",{"_placeholder":true,"num":0}]${S}bAQIDBA==`, `4a${S}x${S}4b`, `3${S}1`,
];
const stricterBodies = [
  ["bAA", "base64 has its padding"],
  ["bAA=", "base64 has its padding"],
  ["bA", "base64 has its padding"],
  ["bAAECA", "base64 has its padding"],
  ["b_-8=", "base64 has the standard alphabet"],
  ["bAA EC", "base64 has no space"],
  ["b====", "padding stands for something"],
  ["bAA==AA==", "padding stands at the end"],
  ["bAB==", "bits that the padding cuts off are zero"],
  ["bAAF=", "bits that the padding cuts off are zero"],
];

// ---- Output ----

function c(text) {
  const bytes = Buffer.from(text, "utf8");
  let s = "";
  for (const b of bytes) {
    const char = String.fromCharCode(b);
    if (char === '"' || char === "\\") s += "\\" + char;
    else s += b >= 0x20 && b < 0x7f ? char : "\\" + b.toString(8).padStart(3, "0");
  }
  return `"${s}"`;
}

const out = [];
const row = (input, words, why) => out.push(`\t{${c(input)}, ${Buffer.byteLength(input)},\n\t${c(words)}, ${why ? c(why) : "NULL"}},`);

out.push(`/* Made by make-vectors.mjs from socket.io-parser ${version("socket.io-parser")} and engine.io-parser ${version("engine.io-parser")}.  Do not edit. */`);
out.push("typedef struct Vector\n{\n\tconst char *input;\n\tsize_t\t\tlen;\n\tconst char *words;			/* what the reference makes of it */\n\tconst char *stricter;		/* why we refuse what it takes, or NULL */\n} Vector;\n");
out.push("static const Vector sio_vectors[] = {");
for (const input of agreed) row(input, socketio(input));
for (const [input, why] of stricter) {
  if (socketio(input) === "bad") throw new Error("the reference refuses " + input);
  row(input, socketio(input), why);
}
out.push("};\n\nstatic const Vector eio_vectors[] = {");
for (const body of bodies) row(body, engineio(body));
for (const [body, why] of stricterBodies) row(body, engineio(body), why);
out.push("};");
console.log(out.join("\n"));
