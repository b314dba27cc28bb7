// viem, over HTTP and over WebSocket.
import { createPublicClient, createWalletClient, defineChain, http, webSocket } from "viem";
import { compile, equal, fails, httpUrl, run, test, until, waiting, wsUrl } from "./kit.mjs";

const { abi, bytecode } = compile("Probe.sol").Probe;
const id = Number(
  (
    await (
      await fetch(httpUrl, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] }),
      })
    ).json()
  ).result,
);
const chain = defineChain({
  id,
  name: "ridge",
  nativeCurrency: { name: "none", symbol: "NIL", decimals: 18 },
  rpcUrls: { default: { http: [httpUrl], webSocket: [wsUrl] } },
});

for (const [way, transport] of [
  ["http", http(httpUrl, { batch: true })],
  ["ws", webSocket(wsUrl)],
]) {
  const reader = createPublicClient({ chain, transport, pollingInterval: 100 });
  const wallet = createWalletClient({ chain, transport });
  let account, address;

  const store = async (key, value, note, more = {}) => {
    const hash = await wallet.writeContract({ account, address, abi, functionName: "store", args: [key, value, note], ...more });
    return reader.waitForTransactionReceipt({ hash });
  };

  test(`${way}: accounts, deploy and wait`, async () => {
    [account] = await wallet.getAddresses();
    const hash = await wallet.deployContract({ account, abi, bytecode, args: [7n] });
    const receipt = await reader.waitForTransactionReceipt({ hash });
    address = receipt.contractAddress;
    equal(await reader.readContract({ address, abi, functionName: "values", args: [0n] }), 7n, "values(0)");
  });

  test(`${way}: send, wait, logs and blocks`, async () => {
    const receipt = await store(1n, 42n, "first");
    equal(receipt.status, "success", "status");
    const logs = await reader.getContractEvents({ address, abi, eventName: "Stored", args: { key: 1n }, fromBlock: 0n });
    equal([logs.length, logs[0].args.value, logs[0].args.note], [1, 42n, "first"], "logs");
    const block = await reader.getBlock({ blockNumber: receipt.blockNumber, includeTransactions: true });
    equal(block.transactions.some((t) => t.hash === receipt.transactionHash), true, "transaction in its block");
    equal((await reader.getFeeHistory({ blockCount: 3, rewardPercentiles: [50] })).baseFeePerGas.every((f) => f === 0n), true, "fees");
  });

  test(`${way}: events and blocks as they come`, async () => {
    const seen = waiting("event"), head = waiting("block");
    const stop = [
      reader.watchContractEvent({ address, abi, eventName: "Stored", onLogs: (l) => seen.done(l[0].args.note), onError: console.error }),
      reader.watchBlocks({ onBlock: (b) => head.done(b.number) }),
    ];
    const [heard, number] = await until(Promise.all([seen.promise, head.promise]), () => store(2n, 43n, "heard"));
    equal(heard, "heard", "event");
    equal(number > 0n, true, "block");
    for (const end of stop) end();
  });

  test(`${way}: reverts with their reasons`, async () => {
    const call = (value) => reader.simulateContract({ account, address, abi, functionName: "store", args: [1n, value, ""] });
    await fails(call(13n), /not thirteen/, "require");
    await fails(call(14n), /Refused/, "custom error");
    await fails(call(15n), /assert|panic/i, "assert");
    const failed = await store(1n, 13n, "", { gas: 200000n });
    equal(failed.status, "reverted", "status of what reverted");
  });

  test(`${way}: gas, older blocks, overrides, proofs`, async () => {
    const gas = await reader.estimateContractGas({ account, address, abi, functionName: "store", args: [3n, 1n, ""] });
    equal((await store(3n, 1n, "", { gas })).status, "success", "with the estimate");
    const slot = "0xad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"; // of values[0]
    const value = `0x${(99).toString(16).padStart(64, "0")}`;
    const got = await reader.readContract({
      address, abi, functionName: "values", args: [0n],
      stateOverride: [{ address, stateDiff: [{ slot, value }] }],
    });
    equal(got, 99n, "overridden");
    const proof = await reader.getProof({ address, storageKeys: [slot] });
    equal([proof.storageProof[0].value, proof.nonce], [7n, 1], "proven");
  });
}

await run("viem");
