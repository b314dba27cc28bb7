// web3.js 4, over HTTP and over WebSocket.
import { Web3 } from "web3";
import { compile, equal, fails, httpUrl, run, test, until, waiting, wsUrl } from "./kit.mjs";

const { abi, bytecode } = compile("Probe.sol").Probe;
const open = [];

for (const [way, url] of [
  ["http", httpUrl],
  ["ws", wsUrl],
]) {
  const web3 = new Web3(url);
  open.push(web3);
  web3.eth.transactionPollingInterval = 100;
  let from, probe;

  test(`${way}: accounts, deploy and wait`, async () => {
    [from] = await web3.eth.getAccounts();
    probe = await new web3.eth.Contract(abi).deploy({ data: bytecode, arguments: [7] }).send({ from });
    probe.defaultBlock = "latest";
    equal(await probe.methods.values(0).call(), 7n, "values(0)");
  });

  test(`${way}: send, wait, events of the receipt and of the past`, async () => {
    const receipt = await probe.methods.store(1, 42, "first").send({ from });
    equal(receipt.status, 1n, "status");
    equal(receipt.events.Stored.returnValues.note, "first", "event");
    const past = await probe.getPastEvents("Stored", { fromBlock: 0, filter: { key: 1 } });
    equal([past.length, past[0].returnValues.value], [1, 42n], "past events");
  });

  if (way === "ws")
    test(`${way}: events and blocks as they come`, async () => {
      const seen = waiting("event"), head = waiting("block");
      const logs = await probe.events.Stored({ fromBlock: "latest" });
      logs.on("data", (e) => e.returnValues.note === "heard" && seen.done("heard")); // web3 begins with those of the head
      const heads = await web3.eth.subscribe("newBlockHeaders");
      heads.on("data", (b) => head.done(b.number));
      const act = () => probe.methods.store(2, 43, "heard").send({ from });
      const [heard, number] = await until(Promise.all([seen.promise, head.promise]), act);
      equal(heard, "heard", "event");
      equal(number > 0n, true, "block");
      await logs.unsubscribe();
      await heads.unsubscribe();
    });

  test(`${way}: reverts with their reasons, gas`, async () => {
    await fails(probe.methods.store(1, 13, "").call({ from }), /not thirteen/, "require");
    const custom = await fails(probe.methods.store(1, 14, "").call({ from }), /Refused|revert/i, "custom error");
    equal(JSON.stringify(custom.cause ?? custom, (_, v) => (typeof v === "bigint" ? `${v}` : v)).includes("Refused"), true, "its name");
    const gas = await probe.methods.store(3, 1, "").estimateGas({ from });
    const receipt = await probe.methods.store(3, 1, "").send({ from, gas: String(gas) });
    equal(receipt.status, 1n, "with the estimate");
  });
}

await run("web3", async () => {
  open[1].currentProvider.disconnect(); // the one over WebSocket
});
