// Writes abi.jsonl: random types and values as ethers v6 encodes them, one case a line. Needs ethers (sdk/ethers has it):
//   node make_abi.mjs COUNT SEED > abi.jsonl
import { AbiCoder } from "ethers";

const [count, seed] = process.argv.slice(2).map(Number);
let state = BigInt(seed);

// SplitMix64: the same cases on every machine.
function random(limit) {
    state = (state + 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & 0xffffffffffffffffn;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & 0xffffffffffffffffn;
    return Number((z ^ (z >> 31n)) % BigInt(limit));
}
const hex = (bytes) => "0x" + Array.from({ length: bytes }, () => random(256).toString(16).padStart(2, "0")).join("");

function elementary() {
    const kind = random(9);
    if (kind === 0) return { text: `uint${8 * (1 + random(32))}` };
    if (kind === 1) return { text: `int${8 * (1 + random(32))}` };
    if (kind === 2) return { text: "address" };
    if (kind === 3) return { text: "bool" };
    if (kind === 4) return { text: `bytes${1 + random(32)}` };
    if (kind === 5) return { text: "bytes" };
    if (kind === 6) return { text: "string" };
    if (kind === 7) return { text: "function", ethers: "bytes24" };
    return { text: "uint256" };
}

function type(depth) {
    if (depth === 0 || random(3) === 0) return elementary();
    if (random(2)) {
        const parts = Array.from({ length: 1 + random(4) }, () => type(depth - 1));
        return { parts };
    }
    return { of: type(depth - 1), count: random(2) ? 0 : 1 + random(3) };
}

const name = (t, forEthers) => {
    if (t.parts) return `(${t.parts.map((p) => name(p, forEthers)).join(",")})`;
    if (t.of) return `${name(t.of, forEthers)}[${t.count || ""}]`;
    return (forEthers && t.ethers) || t.text;
};

function integer(bits, signed) {
    let v = random(3) === 0 ? BigInt(hex(32)) : BigInt(random(1 << 16));
    if (random(4) === 0) v = (1n << BigInt(bits)) - 1n - BigInt(random(2));
    v &= (1n << BigInt(bits)) - 1n;
    if (signed && v >> BigInt(bits - 1)) v -= 1n << BigInt(bits);
    return v > -(1n << 53n) && v < 1n << 53n ? Number(v) : v.toString();
}

function value(t) {
    if (t.parts) return t.parts.map(value);
    if (t.of) return Array.from({ length: t.count || random(4) }, () => value(t.of));
    const number = /^(u?)int(\d+)$/.exec(t.text);
    if (number) return integer(Number(number[2]), !number[1]);
    if (t.text === "address") return hex(20);
    if (t.text === "bool") return random(2) === 1;
    if (t.text === "function") return hex(24);
    if (t.text === "string") return ["", "meter", "计量与结算", "a".repeat(random(70)), "\u0000\n\"é🏔"][random(5)];
    if (t.text === "bytes") return hex(random(70));
    return hex(Number(t.text.slice(5)));
}

const coder = AbiCoder.defaultAbiCoder();
for (let i = 0; i < count; ) {
    const types = Array.from({ length: 1 + random(4) }, () => type(random(4)));
    const args = types.map(value);
    const data = coder.encode(types.map((t) => name(t, true)), args);
    if (data.length > 1500) continue;
    console.log(JSON.stringify({ types: types.map((t) => name(t)).join(","), args, data }));
    i++;
}
