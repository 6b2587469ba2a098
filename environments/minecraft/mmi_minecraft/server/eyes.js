// Runs before the viewer's own scripts. The viewer draws when it is asked to and not sixty times a second, which a
// machine without a graphics card could not bear; and it can be told whether all that it was sent has been drawn.
(() => {
  const AHEAD_MS = 100 // longer than the glide with which the viewer follows the player
  const waiting = []
  const unfinished = new Set()
  let chunks = 0
  let ahead = 0

  const now = performance.now.bind(performance)
  performance.now = () => now() + ahead
  window.requestAnimationFrame = (draw) => waiting.push(draw)

  // The viewer wants four workers, each of which reads the whole of a large file first: it gets one, four times.
  const cell = ({ x, y, z }) => [x, y, z].map((axis) => Math.floor(axis / 16) * 16).join()
  const RealWorker = window.Worker
  let worker = null
  let first = null
  window.Worker = class {
    constructor (address) {
      if (worker) return
      first = this
      worker = new RealWorker(address)
      worker.onmessage = (event) => {
        if (event.data.type === 'sectionFinished') unfinished.delete(event.data.key)
        first.onmessage(event)
      }
    }

    postMessage (message) {
      if (message.type === 'dirty') unfinished.add(cell(message))
      else if (this !== first) return
      if (message.type === 'chunk') chunks++
      worker.postMessage(message)
    }
  }

  const draw = () => {
    ahead += AHEAD_MS
    for (const each of waiting.splice(0)) each(performance.now())
    return document.querySelector('canvas').toDataURL('image/png')
  }
  const loaded = (kind) => performance.getEntriesByType('resource').some(({ name, responseEnd }) => name.includes(kind) && responseEnd)
  const complete = () => chunks > 0 && !unfinished.size && loaded('/textures/') && loaded('/blocksStates/')

  // Draws once everything is there; after so many milliseconds what is there by then.
  window.look = async (patience) => {
    const until = now() + patience
    while (!complete() && now() < until) await new Promise((resolve) => setTimeout(resolve, 10))
    draw() // glides end
    return { picture: draw(), complete: complete() }
  }
})()
