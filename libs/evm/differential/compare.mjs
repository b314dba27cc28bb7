// Random programs on Ridge's machine (main.c) and on @ethereumjs/evm: result, gas, refund, output and logs must agree.
// Usage: node compare.mjs PROGRAM COUNT [SEED]
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { Common, Hardfork, Mainnet } from '@ethereumjs/common'
import { createEVM } from '@ethereumjs/evm'
import { SimpleStateManager } from '@ethereumjs/statemanager'
import { Account, bytesToHex, createAddressFromString, createZeroAddress, hexToBytes } from '@ethereumjs/util'

const [program, countText, seedText] = process.argv.slice(2)
const count = Number(countText), firstSeed = Number(seedText ?? 1)

// mulberry32
function random(seed) {
  let a = seed >>> 0
  return (below) => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const hex = (n, bytes) => n.toString(16).padStart(2 * bytes, '0')
const edges = ['00', '01', '02', '1f', '20', '7f', '80', 'ff', '0100', 'ffffffff', '8000000000000000',
  'ffffffffffffffff', '010000000000000000', '80' + '00'.repeat(31), 'ff'.repeat(32), '7f' + 'ff'.repeat(31),
  '01' + '00'.repeat(16), 'ff'.repeat(31) + 'fe']

function push(draw, value) {
  return hex(0x5f + value.length / 2, 1) + value
}

function operand(draw) {
  switch (draw(4)) {
    case 0: return push(draw, edges[draw(edges.length)])
    case 1: return push(draw, hex(draw(256), 1))
    case 2: return push(draw, hex(draw(300), 2))
    default: {
      const bytes = 1 + draw(32)
      return push(draw, Array.from({ length: bytes }, () => hex(draw(256), 1)).join(''))
    }
  }
}

const small = (draw) => push(draw, hex(draw(draw(4) === 0 ? 2000 : 100), 2))
const target = (draw) =>
  push(draw, ['bbbb', 'aaaa', 'cccc', '01', '02', '03', '04', '05', '06', '07', '08', '09'][draw(12)])

// One statement: takes its operands itself, leaves at most one word; what it finds on the stack may be anything.
function statement(draw) {
  const two = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17,
    0x18, 0x1a, 0x1b, 0x1c, 0x1d]
  const none = [0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3a, 0x3d, 0x41, 0x42, 0x43, 0x46, 0x47, 0x58, 0x59, 0x5a, 0x5f]
  switch (draw(20)) {
    case 0: case 1: case 2: return operand(draw) + operand(draw) + hex(two[draw(two.length)], 1)
    case 3: return operand(draw) + hex([0x15, 0x19][draw(2)], 1)
    case 4: return operand(draw) + operand(draw) + operand(draw) + hex(0x08 + draw(2), 1)
    case 5: return hex(none[draw(none.length)], 1) + (draw(2) ? '50' : '')
    case 6: return hex(0x80 + draw(6), 1)
    case 7: return hex(0x90 + draw(6), 1)
    case 8: return operand(draw) + small(draw) + hex(0x52 + draw(2), 1)
    case 9: return small(draw) + '51'
    case 10: return operand(draw) + push(draw, hex(draw(4), 1)) + hex([0x55, 0x5d][draw(2)], 1)
    case 11: return push(draw, hex(draw(4), 1)) + hex([0x54, 0x5c][draw(2)], 1)
    case 12: return small(draw) + small(draw) + '20'
    case 13: return small(draw) + small(draw) + small(draw) + hex([0x37, 0x39, 0x3e, 0x5e][draw(4)], 1)
    case 14: { // a jump over some bytes that may look like anything
      const skipped = Array.from({ length: draw(6) }, () => hex(draw(256), 1)).join('')
      return { jump: draw(2) === 0, condition: operand(draw), skipped, wild: draw(12) === 0 }
    }
    case 15: {
      const topics = draw(5)
      return Array.from({ length: topics }, () => operand(draw)).join('') + small(draw) + small(draw) + hex(0xa0 + topics, 1)
    }
    case 16: case 17: {
      const op = [0xf1, 0xf2, 0xf4, 0xfa][draw(4)]
      const value = op < 0xf4 ? push(draw, hex(draw(3) === 0 ? draw(3) : 0, 1)) : ''
      const gas = draw(3) === 0 ? push(draw, hex(draw(60000), 2)) : '5a'
      return small(draw) + small(draw) + small(draw) + small(draw) + value + target(draw) + gas + hex(op, 1)
    }
    case 18: return target(draw) + hex([0x31, 0x3b, 0x3f][draw(3)], 1)
    default: {
      const rare = draw(8)
      if (rare === 0) return push(draw, hex(draw(3), 1)) + small(draw) + push(draw, '00') + 'f0'
      if (rare === 1) return operand(draw) + small(draw) + small(draw) + push(draw, '00') + 'f5'
      if (rare === 2) return target(draw) + 'ff'
      if (rare === 3) return hex(draw(256), 1)
      return hex([0x50, 0x5b, 0x50, 0x5b][draw(4)], 1)
    }
  }
}

function contract(draw) {
  let code = Array.from({ length: 8 }, () => operand(draw)).join('') // so that few underflow
  for (let i = 4 + draw(30); i > 0; --i) {
    const s = statement(draw)
    if (typeof s === 'string') {
      code += s
      continue
    }
    const head = s.jump ? '' : s.condition
    const landing = (code.length + head.length + 8 + s.skipped.length) / 2 + (s.wild ? draw(4) - 2 : 0)
    code += head + '61' + hex(Math.max(landing, 0), 2) + (s.jump ? '56' : '57') + s.skipped + '5b'
  }
  const end = draw(5)
  if (end < 3) code += small(draw) + small(draw) + 'f3'
  if (end === 3) code += small(draw) + small(draw) + 'fd'
  return code
}

const common = new Common({ chain: Mainnet, hardfork: Hardfork.Cancun })
const A = createAddressFromString('0x' + 'aaaa'.padStart(40, '0'))
const B = createAddressFromString('0x' + 'bbbb'.padStart(40, '0'))
const sender = createAddressFromString('0x' + 'f00d'.padStart(40, '0'))

// As the context in main.c: zero, but for what the interfaces demand.
const block = {
  header: { number: 0n, coinbase: createZeroAddress(), timestamp: 0n, difficulty: 0n, prevRandao: new Uint8Array(32),
    gasLimit: 0n, baseFeePerGas: 0n, getBlobGasPrice: () => 0n },
}

// One machine for all programs, because its tables of operations cost more to build than most programs to run; its
// state is new each time.
const evm = await createEVM({ common })

async function reference(p) {
  const fresh = new SimpleStateManager({ common })
  evm.stateManager.accountStack = fresh.accountStack
  evm.stateManager.codeStack = fresh.codeStack
  evm.stateManager.storageStack = fresh.storageStack
  evm.stateManager.originalStorageCache.clear()
  await evm.journal.cleanup()
  evm.transientStorage.clear()
  await evm.stateManager.putAccount(A, new Account(0n, 1000n))
  await evm.stateManager.putCode(A, hexToBytes('0x' + p.a))
  await evm.stateManager.putAccount(B, new Account(0n, 0n))
  await evm.stateManager.putAccount(sender, new Account(0n, 1n))
  await evm.stateManager.putCode(B, hexToBytes('0x' + p.b))
  const warm = [A, sender, createZeroAddress()].map((a) => a.toString())
  for (let i = 1; i <= 10; ++i) warm.push('0x' + i.toString(16).padStart(40, '0'))
  for (const address of warm) evm.journal.addAlwaysWarmAddress(address)
  const { execResult: r } = await evm.runCall({ block, to: A, caller: sender, gasLimit: BigInt(p.gas), data: hexToBytes('0x' + p.input) })
  const error = r.exceptionError?.error
  const what = !error ? 'success' : error === 'revert' ? 'revert' : 'failure'
  const output = what === 'failure' ? '' : bytesToHex(r.returnValue).slice(2)
  const plain = (b) => bytesToHex(b).slice(2)
  const logs = what !== 'success' ? [] : (r.logs ?? []).map(([address, topics, data]) =>
    ' ' + [plain(address), ...topics.map(plain)].join(',') + ':' + plain(data))
  return `${what} ${r.executionGasUsed} ${what === 'success' ? r.gasRefund ?? 0n : 0} ${output}${logs.join('')}`
}

const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] })
const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
const BATCH = 64, TOLD = 10000
let passed = 0, failed = 0, skipped = 0
const kinds = {}

function program_of(seed) {
  const draw = random(seed)
  return { seed, gas: 20000 + draw(200000), a: contract(draw), b: contract(draw), input: hex(draw(2 ** 31), 4).repeat(draw(20)) }
}

// The reference's point evaluation (address 10) needs a trusted setup that is not installed.
async function referenceOrNothing(p) {
  try {
    return await reference(p)
  } catch (error) {
    if (/kzg not initialized/.test(error.message)) return null
    throw error
  }
}

async function compare(p) {
  const theirs = await referenceOrNothing(p), ours = (await answers.next()).value
  if (theirs === null) return ++skipped
  const kind = theirs.split(' ')[0]
  kinds[kind] = (kinds[kind] ?? 0) + 1
  if (ours === theirs) return ++passed
  ++failed
  console.log(`FAIL seed ${p.seed}\n  a ${p.a}\n  b ${p.b}\n  input ${p.input} gas ${p.gas}\n  ridge     ${ours}\n  reference ${theirs}`)
}

// Several programs are sent at once: a pipe for each would take longer than many of them run.
for (let seed = firstSeed; seed < firstSeed + count && failed < 10; seed += BATCH) {
  const batch = Array.from({ length: Math.min(BATCH, firstSeed + count - seed) }, (_, i) => program_of(seed + i))
  child.stdin.write(batch.map((p) => `${p.gas} ${p.a || '-'} ${p.b || '-'} ${p.input || '-'}\n`).join(''))
  for (const p of batch) await compare(p)
  if (Math.floor((seed - firstSeed + BATCH) / TOLD) > Math.floor((seed - firstSeed) / TOLD))
    console.error(`${passed} passed, ${failed} failed so far`)
}
child.stdin.end()
if (skipped > 0) console.log(`${skipped} programs call the point evaluation, which the reference has not`)
console.log(`ended by ${Object.entries(kinds).map(([k, n]) => `${k} ${n}`).join(', ')}`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
