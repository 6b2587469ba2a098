// What placing and digging a block costs with mineflayer alone: `node bare_mineflayer.mjs FOLDER PORT ROUNDS`.
// FOLDER has mineflayer in its node_modules. Prints the mean milliseconds of a round. Used by bench_minecraft.py.

import { createRequire } from 'node:module'
import { join } from 'node:path'

const [folder, port, rounds] = process.argv.slice(2)
const need = createRequire(join(folder, '/'))
const { Vec3 } = need('vec3')
const Item = need('prismarine-item')

const bot = need('mineflayer').createBot({ host: '127.0.0.1', port: Number(port), username: 'bare', auth: 'offline', version: '1.16.4' })
bot.once('spawn', async () => {
  await bot.waitForChunksToLoad()
  await bot.creative.setInventorySlot(36, new (Item(bot.registry))(bot.registry.itemsByName.dirt.id, 1))
  bot.setQuickBarSlot(0)
  const ground = bot.blockAt(bot.entity.position.floored().offset(2, -1, 2))
  const began = performance.now()
  for (let round = 0; round < Number(rounds); round++) {
    await bot._placeBlockWithOptions(ground, new Vec3(0, 1, 0), { swingArm: 'right', forceLook: true }) // at once, as we do
    await bot.dig(bot.blockAt(ground.position.offset(0, 1, 0)), true)
  }
  console.log((performance.now() - began) / Number(rounds))
  process.exit(0)
})
