// UTF-8, where the engine has no TextEncoder and TextDecoder: QuickJS has neither. A loop over bytes is slow there, so
// this goes through what the engine does natively.

const ENCODER = typeof TextEncoder === "function" ? new TextEncoder() : undefined;
const DECODER = typeof TextDecoder === "function" ? new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }) : undefined;
/** How many arguments are passed at once. */
const PIECE = 4096;

/** A text's bytes. Halves of surrogate pairs become U+FFFD. */
export function encode(text) {
  return ENCODER === undefined ? encodeByHand(text) : ENCODER.encode(text);
}

/** The text of bytes. A TypeError if they are not UTF-8. */
export function decode(bytes) {
  return DECODER === undefined ? decodeByHand(bytes) : DECODER.decode(bytes);
}

/** A text that every language can hold: halves of surrogate pairs are U+FFFD. */
export function wellFormed(text) {
  return text.toWellFormed === undefined ? text.replace(HALVES, "\ufffd") : text.toWellFormed();
}

const HALVES = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

export function encodeByHand(text) {
  // One character for each byte: what is called a binary string.
  const binary = /^[\0-\x7f]*$/.test(text) ? text : unescape(encodeURIComponent(wellFormed(text)));
  if (Uint8Array.fromBase64 !== undefined) return Uint8Array.fromBase64(btoa(binary));
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

export function decodeByHand(bytes) {
  let binary = "";
  for (let index = 0; index < bytes.length; index += PIECE) {
    binary += String.fromCharCode.apply(null, bytes.subarray(index, index + PIECE));
  }
  if (/^[\0-\x7f]*$/.test(binary)) return binary;
  try {
    return decodeURIComponent(escape(binary));
  } catch {
    throw new TypeError("these bytes are not UTF-8");
  }
}
