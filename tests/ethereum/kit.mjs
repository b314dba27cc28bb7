// What the scripts share: compiled contracts, and checks that end the script with what was expected.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import solc from "solc";

export const [httpUrl, wsUrl, other] = process.argv.slice(2);

// {ContractName: {abi, bytecode}} of a source of this folder, under Cancun's rules; imports are npm packages.
export function compile(file) {
  const here = createRequire(import.meta.url);
  const read = (at) => ({ contents: readFileSync(at, "utf8") });
  const input = {
    language: "Solidity",
    sources: { [file]: { content: read(new URL(file, import.meta.url)).contents } },
    settings: {
      evmVersion: "cancun",
      optimizer: { enabled: true },
      outputSelection: { [file]: { "*": ["abi", "evm.bytecode.object"] } },
    },
  };
  const out = JSON.parse(solc.compile(JSON.stringify(input), { import: (name) => read(here.resolve(name)) }));
  const errors = (out.errors ?? []).filter((e) => e.severity === "error");
  if (errors.length) throw new Error(errors[0].formattedMessage);
  const made = Object.entries(out.contracts[file]);
  return Object.fromEntries(made.map(([name, { abi, evm }]) => [name, { abi, bytecode: `0x${evm.bytecode.object}` }]));
}

export function equal(got, want, what) {
  const text = (v) => JSON.stringify(v, (_, x) => (typeof x === "bigint" ? x.toString() : x));
  if (text(got) !== text(want)) throw new Error(`${what}: got ${text(got)}, want ${text(want)}`);
}

export async function fails(promise, pattern, what) {
  let error;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  if (!error) throw new Error(`${what}: did not fail`);
  const text = `${error.name} ${error.code ?? ""} ${error.message} ${error.reason ?? ""} ${error.revert?.name ?? ""} ${
    error.shortMessage ?? ""
  } ${error.cause?.message ?? ""} ${error.cause?.errorName ?? ""} ${error.data ?? ""}`;
  if (!pattern.test(text)) throw new Error(`${what}: failed with ${text}, want ${pattern}`);
  return error;
}

// A promise that many events fulfil, and that says what it waited for.
export function waiting(what, seconds = 60) {
  let done;
  const promise = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: not within ${seconds} s`)), seconds * 1000);
    done = (value) => {
      clearTimeout(timer);
      resolve(value);
    };
  });
  return { promise, done };
}

// Does it again and again until what it makes is heard: when who listens has begun to, nobody tells.
export async function until(heard, act) {
  let over = false;
  const end = heard.finally(() => (over = true));
  end.catch(() => {});
  while (!over) {
    await act();
    await Promise.race([end, new Promise((resolve) => setTimeout(resolve, 300))]);
  }
  return heard;
}

const tests = [];
export const test = (name, run) => tests.push([name, run]);

// Runs what was registered, one after another; the last line is the count.
export async function run(prefix, close) {
  let failed = 0;
  for (const [name, body] of tests) {
    const start = Date.now();
    try {
      await body();
      console.log(`ok   ${prefix}: ${name} (${Date.now() - start} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${prefix}: ${name}\n     ${error.stack}`);
    }
  }
  await close?.();
  console.log(`${tests.length - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
