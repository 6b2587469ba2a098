// Writes mmi_minecraft/blocks.json: which blocks there are, in which versions, with which states.
//
//     npm install --no-save minecraft-data@3.119.0 && node environments/minecraft/make_block_table.mjs
//
// The facts are those of minecraft-data (MIT). Nothing of the game itself is in them.

import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(`${process.cwd()}/`)
const versions = ['1.16.4', '1.18.1', '1.21.1', '1.21.4']
const source = `minecraft-data ${require('minecraft-data/package.json').version}`
const protocols = require('minecraft-data').versions.pc

const properties = []
const blocks = new Map()
for (const [index, version] of versions.entries()) {
  const data = require('minecraft-data')(version)
  for (const block of data.blocksArray) {
    const first = blocks.get(block.name)?.versions[0] ?? index
    blocks.set(block.name, describe(block, data, [first, index]))
  }
}

const dataVersions = Object.fromEntries(
  versions.map((version) => [version, protocols.find((each) => each.minecraftVersion === version).dataVersion])
)
const lines = [...blocks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, block]) => `"${name}":${JSON.stringify(numbered(block))}`)
writeFileSync(
  new URL('mmi_minecraft/blocks.json', import.meta.url),
  `{"source":"${source}",\n"versions":${JSON.stringify(dataVersions)},\n"properties":[\n` +
    `${properties.join(',\n')}\n],\n"blocks":{\n${lines.join(',\n')}\n}}\n`
)

function describe (block, data, range) {
  return {
    properties: Object.fromEntries(block.states.map((state) => [state.name, values(state)])),
    defaults: defaults(block),
    versions: range,
    shape: shape(block, data),
    stack: data.itemsByName[block.name]?.stackSize ?? 0 // 0: no item of that name
  }
}

function numbered (block) {
  const text = JSON.stringify(block.properties)
  if (!properties.includes(text)) properties.push(text)
  return { ...block, properties: properties.indexOf(text) }
}

function values (state) {
  if (state.values) return state.values
  return state.type === 'bool' ? ['true', 'false'] : Array.from({ length: state.num_values }, (_, value) => String(value))
}

function defaults (block) {
  let rest = block.defaultState - block.minStateId
  return [...block.states].reverse().map((state) => {
    const value = rest % state.num_values
    rest = Math.floor(rest / state.num_values)
    return value
  }).reverse()
}

function shape (block, data) {
  const { blocks: shapes, shapes: boxes } = data.blockCollisionShapes
  const all = [shapes[block.name] ?? (block.boundingBox === 'empty' ? 0 : 1)].flat().map((id) => JSON.stringify(boxes[id]))
  if (all.every((each) => each === '[[0,0,0,1,1,1]]')) return 'full'
  return all.every((each) => each === '[]') ? 'none' : 'part'
}
