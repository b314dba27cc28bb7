// ethers v6, over HTTP and over WebSocket.
import { ContractFactory, Interface, JsonRpcProvider, WebSocketProvider, isError } from "ethers";
import { compile, equal, fails, httpUrl, run, test, until, waiting, wsUrl } from "./kit.mjs";

const { abi, bytecode } = compile("Probe.sol").Probe;
const closing = [];

for (const [way, open] of [
  ["http", () => new JsonRpcProvider(httpUrl, undefined, { pollingInterval: 100 })], // 4 s of ethers only take longer
  ["ws", () => new WebSocketProvider(wsUrl)],
]) {
  const provider = open();
  closing.push(provider);
  let signer, probe;

  test(`${way}: the network, its accounts and fees`, async () => {
    const network = await provider.getNetwork();
    equal((await provider.send("net_version", [])) === String(network.chainId), true, "net_version");
    signer = await provider.getSigner(0);
    equal((await provider.getFeeData()).gasPrice, 0n, "gas price");
  });

  test(`${way}: deploy and wait`, async () => {
    const factory = new ContractFactory(abi, bytecode, signer);
    probe = await factory.deploy(7);
    await probe.waitForDeployment();
    equal(await probe.values(0), 7n, "values(0)");
    equal(await probe.owner(), await signer.getAddress(), "owner");
    equal((await provider.getCode(await probe.getAddress())).length > 100, true, "code");
  });

  test(`${way}: send, wait for the receipt, read its event and the log`, async () => {
    const sent = await probe.store(1, 42, "first");
    const receipt = await sent.wait();
    equal(receipt.status, 1, "status");
    const event = receipt.logs.map((l) => probe.interface.parseLog(l))[0];
    equal([event.name, event.args.value, event.args.note], ["Stored", 42n, "first"], "event");
    const logs = await probe.queryFilter(probe.filters.Stored(null, 1), 0, "latest");
    equal(logs.length, 1, "logs");
    equal(logs[0].transactionHash, sent.hash, "hash of the log");
    const block = await provider.getBlock(receipt.blockNumber, true);
    equal(block.transactions.includes(sent.hash), true, "transaction in its block");
  });

  test(`${way}: events as they happen`, async () => {
    const seen = waiting("event");
    const heads = waiting("block");
    await probe.on("Stored", (by, key, value, note) => seen.done([key, value, note]));
    await provider.on("block", (number) => heads.done(number));
    const act = async () => (await probe.store(2, 43, "heard")).wait();
    const [heard, number] = await until(Promise.all([seen.promise, heads.promise]), act);
    equal(heard, [2n, 43n, "heard"], "event");
    equal(number > 0, true, "block number");
    await probe.off("Stored");
    await provider.off("block");
  });

  test(`${way}: reverts with their reasons`, async () => {
    const reason = await fails(probe.store.staticCall(1, 13, ""), /not thirteen/, "require");
    equal(isError(reason, "CALL_EXCEPTION"), true, "code");
    const custom = await fails(probe.store.staticCall(1, 14, ""), /Refused/, "custom error");
    equal(custom.revert.args[1], 14n, "argument of the error");
    await fails(probe.store.staticCall(1, 15, ""), /Panic|assert/i, "assert");
    await fails(probe.store(1, 13, ""), /not thirteen/, "a transaction that would revert");
    const sent = await probe.store(1, 13, "", { gasLimit: 200000 });
    await fails(sent.wait(), /CALL_EXCEPTION|reverted/, "the receipt of a transaction that reverted");
  });

  test(`${way}: gas is estimated well enough, and little more`, async () => {
    const gas = await probe.store.estimateGas(3, 44, "estimated");
    const receipt = await (await probe.store(3, 44, "estimated", { gasLimit: gas })).wait();
    equal(gas >= receipt.gasUsed && gas < (receipt.gasUsed * 11n) / 10n, true, `estimate ${gas}`);
  });

  test(`${way}: calls at an older block and with overrides`, async () => {
    const before = await provider.getBlockNumber();
    await (await probe.store(4, 1, "")).wait();
    equal(await probe.values(4), 1n, "now");
    equal(await probe.values(4, { blockTag: before }), 0n, "before");
    const data = new Interface(abi).encodeFunctionData("values", [0]);
    const slot = `0x${"ad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"}`; // of values[0]
    const value = `0x${(99).toString(16).padStart(64, "0")}`;
    const address = await probe.getAddress();
    const got = await provider.send("eth_call", [
      { to: address, data },
      "latest",
      { [address]: { stateDiff: { [slot]: value } } },
    ]);
    equal(BigInt(got), 99n, "overridden");
  });

  test(`${way}: what an Ethereum wallet signs is refused by name`, async () => {
    await fails(provider.send("eth_sendRawTransaction", ["0x02f8"]), /ridge_sendTransaction/, "raw");
  });
}

// As it comes ethers keeps answers for 250 ms and asks for the number of blocks every 4 s. Each transaction is sent right
// after a block, so that its own comes while ethers waits, and none after it.
test("http, as it comes: one block is enough for wait()", async () => {
  const provider = new JsonRpcProvider(httpUrl);
  closing.push(provider);
  const signer = await provider.getSigner(0);
  const probe = await new ContractFactory(abi, bytecode, signer).deploy(7);
  await probe.waitForDeployment();
  for (let i = 0; i < 10; i++) {
    const sent = await probe.store(9, i, "waited for");
    const soon = waiting("the receipt", 3);
    sent.wait().then(soon.done);
    equal((await soon.promise).status, 1, "status");
  }
});

test("http: wait(n) resolves with the n-th block, whatever makes it", async () => {
  const provider = closing[0];
  const signer = await provider.getSigner(0);
  const first = await signer.sendTransaction({ to: await signer.getAddress() });
  const third = first.wait(3);
  for (let i = 0; i < 2; i++) await (await signer.sendTransaction({ to: await signer.getAddress() })).wait();
  const receipt = await third;
  equal((await receipt.confirmations()) >= 3, true, "confirmations");
});

await run("ethers", async () => {
  for (const provider of closing) await provider.destroy();
});
