// OpenZeppelin's contracts, as they come from npm, on a chain of four nodes (RIDGE_RPC), by SM2 accounts through sdk/ethers.
import { ContractFactory, MaxUint256, ZeroAddress, ZeroHash, id as keccak, toUtf8Bytes, hexlify } from "ethers";
import { RidgeProvider, RidgeSigner, reasonOf } from "../../sdk/ethers/src/index.js";
import { compile, equal, run, test } from "./kit.mjs";

const provider = new RidgeProvider(process.env.RIDGE_RPC.split(" ")[0]);
const [alice, bob, carol] = Array.from({ length: 3 }, () => RidgeSigner.random(provider));
const artefacts = compile("Zeppelin.sol");

async function deploy(name, ...args) {
  const { abi, bytecode } = artefacts[name];
  const made = await new ContractFactory(abi, bytecode, alice).deploy(...args);
  await made.waitForDeployment();
  return made;
}

const at = async (contract) => (await contract.getAddress()).toLowerCase();
const lower = (v) => (typeof v === "string" ? v.toLowerCase() : v);

// What a transaction made that contract log: [event, ...arguments].
async function done(sending, contract) {
  const receipt = await (await sending).wait();
  equal(receipt.status, 1, "status");
  const own = await at(contract);
  const mine = receipt.logs.filter((log) => lower(log.address) === own).map((log) => contract.interface.parseLog(log));
  return mine.map((e) => [e.name, ...e.args.map(lower)]);
}

async function refused(sending, contract, reason, what) {
  let error;
  try {
    await (await sending).wait();
  } catch (e) {
    error = e;
  }
  equal(error ? lower(reasonOf(error, contract.interface)) : "it was done", lower(reason), what);
}

let coin, keeper;

test("ERC-20: transfers, approvals, refusals", async () => {
  coin = await deploy("Coin", alice.address, 1000n);
  keeper = await deploy("Keeper");
  equal([await coin.name(), await coin.symbol(), await coin.decimals(), await coin.totalSupply()], ["Coin", "COIN", 18n, 1000n], "what it is");
  equal(await done(coin.transfer(bob.address, 300n), coin), [["Transfer", alice.address, bob.address, 300n]], "events of a transfer");
  equal(await done(coin.approve(carol.address, 50n), coin), [["Approval", alice.address, carol.address, 50n]], "events of an approval");
  equal(await done(coin.connect(carol).transferFrom(alice.address, bob.address, 20n), coin), [["Transfer", alice.address, bob.address, 20n]], "events");
  equal([await coin.balanceOf(alice.address), await coin.balanceOf(bob.address), await coin.allowance(alice.address, carol.address)], [680n, 320n, 30n], "balances and allowance");
  await refused(coin.connect(carol).transferFrom(alice.address, bob.address, 31n), coin, `ERC20InsufficientAllowance(${carol.address}, 30, 31)`, "more than allowed");
  await refused(coin.connect(bob).transfer(carol.address, 321n), coin, `ERC20InsufficientBalance(${bob.address}, 320, 321)`, "more than there is");
  await refused(coin.transfer(ZeroAddress, 1n), coin, `ERC20InvalidReceiver(${ZeroAddress})`, "to nobody");
  await done(coin.approve(carol.address, MaxUint256), coin);
  await done(coin.connect(carol).transferFrom(alice.address, carol.address, 80n), coin);
  equal(await coin.allowance(alice.address, carol.address), MaxUint256, "an allowance without end");
  equal((await coin.queryFilter(coin.filters.Transfer(alice.address))).length, 3, "transfers by the indexed sender");
});

test("ERC-721: safe transfers to accounts and receivers, approvals", async () => {
  const deed = await deploy("Deed");
  const [vault, stranger] = [await at(keeper), await at(coin)];
  equal(await deed.supportsInterface("0x80ac58cd"), true, "ERC-165");
  equal(await done(deed.mint(alice.address, 1n), deed), [["Transfer", ZeroAddress, alice.address, 1n]], "events of minting");
  await done(deed.mint(vault, 2n), deed);
  await refused(deed.mint(alice.address, 1n), deed, `ERC721InvalidSender(${ZeroAddress})`, "the same once more");
  await refused(deed["safeTransferFrom(address,address,uint256)"](alice.address, stranger, 1n), deed, `ERC721InvalidReceiver(${stranger})`, "to a contract that takes none");
  await refused(deed.connect(bob).transferFrom(alice.address, bob.address, 1n), deed, `ERC721InsufficientApproval(${bob.address}, 1)`, "another's");
  await done(deed.approve(bob.address, 1n), deed);
  await done(deed.connect(bob).transferFrom(alice.address, bob.address, 1n), deed);
  equal([lower(await deed.ownerOf(1n)), await deed.getApproved(1n)], [bob.address, ZeroAddress], "the new owner; the approval is used up");
  equal(await done(deed.connect(bob).setApprovalForAll(carol.address, true), deed), [["ApprovalForAll", bob.address, carol.address, true]], "events");
  await done(deed.connect(carol)["safeTransferFrom(address,address,uint256,bytes)"](bob.address, vault, 1n, "0x1234"), deed);
  equal([await deed.balanceOf(vault), await deed.balanceOf(bob.address)], [2n, 0n], "what the receiver holds");
  await refused(deed.ownerOf(9n).then(() => ({ wait: () => {} })), deed, "ERC721NonexistentToken(9)", "one that nobody made");
});

test("ERC-1155: batches, safe transfers, operators", async () => {
  const items = await deploy("Items");
  const [vault, stranger] = [await at(keeper), await at(coin)];
  const minted = await done(items.mint(alice.address, [1n, 2n, 3n], [10n, 20n, 30n]), items);
  equal(minted, [["TransferBatch", alice.address, ZeroAddress, alice.address, [1n, 2n, 3n], [10n, 20n, 30n]]], "events of minting");
  equal(await done(items.safeTransferFrom(alice.address, vault, 1n, 4n, "0x"), items), [["TransferSingle", alice.address, alice.address, vault, 1n, 4n]], "events");
  await refused(items.safeTransferFrom(alice.address, stranger, 1n, 1n, "0x"), items, `ERC1155InvalidReceiver(${stranger})`, "to a contract that takes none");
  await refused(items.connect(bob).safeTransferFrom(alice.address, bob.address, 1n, 1n, "0x"), items, `ERC1155MissingApprovalForAll(${bob.address}, ${alice.address})`, "another's");
  await refused(items.safeBatchTransferFrom(alice.address, bob.address, [1n, 2n], [1n], "0x"), items, "ERC1155InvalidArrayLength(2, 1)", "lists of two lengths");
  await done(items.setApprovalForAll(bob.address, true), items);
  await done(items.connect(bob).safeBatchTransferFrom(alice.address, vault, [2n, 3n], [20n, 5n], "0xbeef"), items);
  const balances = await items.balanceOfBatch([alice.address, alice.address, vault, vault, vault], [1n, 2n, 1n, 2n, 3n]);
  equal([...balances], [6n, 0n, 4n, 20n, 5n], "balances");
  await refused(items.safeTransferFrom(alice.address, bob.address, 2n, 1n, "0x"), items, `ERC1155InsufficientBalance(${alice.address}, 0, 1, 2)`, "more than there is");
  equal(await items.uri(1n), "https://items.example/{id}.json", "where it is described");
});

test("AccessControl: roles are granted, asked for, given back", async () => {
  const plant = await deploy("Plant", alice.address);
  const role = await plant.OPERATOR();
  equal(role, keccak("OPERATOR"), "the role's hash");
  await refused(plant.connect(bob).set(5n), plant, `AccessControlUnauthorizedAccount(${bob.address}, ${role})`, "without the role");
  await refused(plant.connect(bob).grantRole(role, bob.address), plant, `AccessControlUnauthorizedAccount(${bob.address}, ${ZeroHash})`, "by who is no administrator");
  equal(await done(plant.grantRole(role, bob.address), plant), [["RoleGranted", role, bob.address, alice.address]], "events");
  await done(plant.connect(bob).set(5n), plant);
  equal([await plant.level(), await plant.hasRole(role, bob.address)], [5n, true], "what the operator did");
  equal(await done(plant.connect(bob).renounceRole(role, bob.address), plant), [["RoleRevoked", role, bob.address, bob.address]], "events");
  await refused(plant.connect(bob).set(6n), plant, `AccessControlUnauthorizedAccount(${bob.address}, ${role})`, "after giving it back");
});

// An idle chain makes no blocks: a transaction makes one, and with it the block number and the time go on.
async function tick() {
  const receipt = await (await carol.sendTransaction({ to: carol.address })).wait();
  return provider.getBlock(receipt.blockNumber);
}
async function untilBlock(number) {
  while (BigInt(await provider.getBlockNumber()) < number) await tick();
}
async function untilTime(seconds) {
  while (BigInt((await tick()).timestamp) < seconds);
}

const STATES = ["Pending", "Active", "Canceled", "Defeated", "Succeeded", "Queued", "Expired", "Executed"];
const [AGAINST, FOR, ABSTAIN] = [0, 1, 2];
const DELAY = 3n;
const PERIOD = 12n;
let share, timelock, council, plant;

async function constitution() {
  share = await deploy("Share", alice.address, 100n);
  timelock = await deploy("Timelock", 1n, [], [ZeroAddress], alice.address);
  council = await deploy("Council", await at(share), await at(timelock), DELAY, PERIOD);
  plant = await deploy("Plant", await at(timelock));
  await done(timelock.grantRole(await timelock.PROPOSER_ROLE(), await at(council)), timelock);
  await done(timelock.renounceRole(ZeroHash, alice.address), timelock);
  await Promise.all([done(share.transfer(bob.address, 30n), share), done(share.transfer(carol.address, 20n), share)]);
  await Promise.all([alice, bob, carol].map((who) => done(share.connect(who).delegate(who.address), share)));
}

async function propose(text) {
  const call = plant.interface.encodeFunctionData("grantRole", [await plant.OPERATOR(), bob.address]);
  const proposal = [[await at(plant)], [0n], [call]];
  const events = await done(council.connect(bob).propose(...proposal, text), council);
  const [name, id, proposer, , , , , start, end] = events[0];
  equal([name, proposer], ["ProposalCreated", bob.address], "event of a proposal");
  return { id, start, end, words: [...proposal, keccak(text)] };
}

const state = async (id) => STATES[Number(await council.state(id))];

test("Governor: a proposal from its beginning to its execution by the timelock", async () => {
  await constitution();
  equal([await council.CLOCK_MODE(), await share.CLOCK_MODE()], ["mode=blocknumber&from=default", "mode=blocknumber&from=default"], "the clock counts blocks");
  equal(await council.clock(), BigInt(await provider.getBlockNumber()), "the clock of a call is the newest block's");
  const { id, start, end, words } = await propose("let bob operate the plant");
  equal([end - start, await state(id)], [PERIOD, "Pending"], "a period of blocks");
  await refused(council.castVote(id, FOR), council, `GovernorUnexpectedProposalState(${id}, 0, 0x${"2".padStart(64, "0")})`, "a vote before its time");
  await untilBlock(start + 1n);
  equal(await state(id), "Active", "state");
  equal(await council.getVotes(alice.address, start), 50n, "votes at the snapshot");
  const [vote] = await done(council.castVoteWithReason(id, FOR, "he knows it"), council);
  equal(vote, ["VoteCast", alice.address, id, BigInt(FOR), 50n, "he knows it"], "event of a vote");
  await Promise.all([done(council.connect(bob).castVote(id, ABSTAIN), council), done(council.connect(carol).castVote(id, AGAINST), council)]);
  await refused(council.castVote(id, FOR), council, `GovernorAlreadyCastVote(${alice.address})`, "a second vote");
  equal([...(await council.proposalVotes(id))], [20n, 50n, 30n], "against, for, abstained");
  await untilBlock(end + 1n);
  equal(await state(id), "Succeeded", "state after the period");
  await done(council.queue(...words), council);
  equal(await state(id), "Queued", "state");
  const eta = await council.proposalEta(id);
  await untilTime(eta);
  const [executed] = await done(council.execute(...words), council);
  equal([executed, await state(id)], [["ProposalExecuted", id], "Executed"], "the execution");
  await done(plant.connect(bob).set(77n), plant);
  equal(await plant.level(), 77n, "what the proposal allowed");
});

test("Governor: what is voted down is not executed, and nobody goes around the council", async () => {
  const { id, start, end, words } = await propose("let bob operate the plant once more");
  await untilBlock(start + 1n);
  await Promise.all([done(council.castVote(id, AGAINST), council), done(council.connect(bob).castVote(id, FOR), council)]);
  await untilBlock(end + 1n);
  equal(await state(id), "Defeated", "state");
  await refused(council.queue(...words), council, `GovernorUnexpectedProposalState(${id}, 3, 0x${"10".padStart(64, "0")})`, "queued");
  await refused(plant.grantRole(ZeroHash, alice.address), plant, `AccessControlUnauthorizedAccount(${alice.address}, ${ZeroHash})`, "by who deployed it");
  await refused(timelock.schedule(await at(plant), 0n, "0x", ZeroHash, hexlify(toUtf8Bytes("x".repeat(32))), 1n), timelock, `AccessControlUnauthorizedAccount(${alice.address}, ${await timelock.PROPOSER_ROLE()})`, "scheduled by hand");
});

await run("openzeppelin", () => provider.destroy());
