// Token chips above a heatmap tokens x layers x experts. Text enters the page through textContent and
// fillText only. Called again at every rerun: the same tokens are updated in place, so that the keyboard
// focus stays on the chip that was pressed.

const GUTTER = 34
const BAND_GAP = 11
const MIN_CELL = 7
const MAX_CELL = 46

function decode(base64) {
  const raw = atob(base64)
  const bytes = new Uint8Array(raw.length)
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i)
  return bytes
}

function rgb(hex) {
  const n = parseInt(hex.slice(1), 16)
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255]
}

function mixer(stops) {
  const parsed = stops.map(([at, hex]) => [at, rgb(hex)])
  return (value) => {
    const v = Math.min(1, Math.max(0, value))
    let i = 1
    while (i < parsed.length - 1 && v > parsed[i][0]) i += 1
    const [a, from] = parsed[i - 1]
    const [b, to] = parsed[i]
    const f = b > a ? (v - a) / (b - a) : 0
    return from.map((c, k) => Math.round(c + (to[k] - c) * f))
  }
}

function luminance([r, g, b]) {
  const lin = [r, g, b].map((c) => {
    const s = c / 255
    return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * lin[0] + 0.7152 * lin[1] + 0.0722 * lin[2]
}

// black or white: one of the two reaches a contrast of 4.5 on every colour; a softer black would not
function readableOn(colour) {
  const y = luminance(colour)
  return (y + 0.05) / 0.05 >= 1.05 / (y + 0.05) ? '#000000' : '#FFFFFF'
}

function element(tag, className) {
  const node = document.createElement(tag)
  node.className = className
  return node
}

function build(root, send) {
  const chips = element('div', 'rl-chips')
  chips.setAttribute('role', 'group')
  const scroll = element('div', 'rl-scroll')
  const canvas = element('canvas', 'rl-canvas')
  canvas.setAttribute('role', 'img')
  scroll.append(canvas)
  const legend = element('div', 'rl-legend')
  const tip = element('div', 'rl-tip')
  root.append(chips, scroll, legend, tip)
  const view = { root, chips, scroll, canvas, legend, tip, buttons: [], cell: MIN_CELL, send }

  chips.addEventListener('click', (event) => {
    const button = event.target.closest('button')
    if (button) view.send(Number(button.dataset.position))
  })
  chips.addEventListener('keydown', (event) => {
    const at = view.buttons.indexOf(event.target.closest('button'))
    if (at < 0) return
    const last = view.buttons.length - 1
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key]
    if (next === undefined) return
    event.preventDefault()
    focusChip(view, Math.min(last, Math.max(0, next)))
  })
  canvas.addEventListener('click', (event) => {
    const hit = locate(view, event)
    if (hit) view.send(hit.position)
  })
  canvas.addEventListener('mousemove', (event) => showTip(view, event))
  canvas.addEventListener('mouseleave', () => {
    tip.style.display = 'none'
  })
  view.observer = new ResizeObserver(() => draw(view))
  view.observer.observe(root)
  return view
}

function focusChip(view, index) {
  view.buttons.forEach((button, i) => {
    button.tabIndex = i === index ? 0 : -1
  })
  view.buttons[index].focus()
}

function fillChips(view) {
  const { data } = view
  const shade = mixer(data.palette.sequential)
  const total = data.n_layers * data.n_experts
  view.chips.setAttribute('aria-label', data.labels.chips)
  view.buttons = data.tokens.map((token, position) => {
    const button = element('button', token.special ? 'rl-chip rl-special' : 'rl-chip')
    button.type = 'button'
    button.dataset.position = String(position)
    const background = shade(data.counts[position] / total)
    button.style.background = `rgb(${background.join(',')})`
    button.style.color = readableOn(background)
    const word = element('span', 'rl-word')
    word.textContent = token.text
    const count = element('span', 'rl-count')
    count.textContent = String(data.counts[position])
    button.setAttribute('aria-label', `${token.text}: ${data.counts[position]} / ${total} ${data.labels.experts}`)
    button.append(word, count)
    return button
  })
  view.chips.replaceChildren(...view.buttons)
}

function fillLegend(view) {
  const { data } = view
  const ran = element('span', '')
  const ramp = element('i', 'rl-swatch')
  const shade = mixer(data.palette.sequential)
  const stops = [0, 0.25, 0.5, 0.75, 1].map((v) => `rgb(${shade(0.25 + 0.75 * v).join(',')})`)
  ramp.style.background = `linear-gradient(90deg, ${stops.join(', ')})`
  ran.append(ramp, document.createTextNode(data.labels.ran))
  const off = element('span', '')
  const empty = element('i', 'rl-swatch rl-off')
  empty.style.background = data.palette.off
  off.append(empty, document.createTextNode(data.labels.not_run))
  view.legend.replaceChildren(ran, off, document.createTextNode(data.labels.rows))
}

function draw(view) {
  const { data, canvas } = view
  if (!data || data.chips_only || !view.root.isConnected) return
  const count = data.tokens.length
  const width = Math.max(200, view.root.clientWidth)
  const cell = Math.min(MAX_CELL, Math.max(MIN_CELL, (width - GUTTER - 2) / count))
  const row = data.n_experts <= 16 ? 5 : Math.max(2, Math.floor(80 / data.n_experts))
  const band = row * data.n_experts
  const full = Math.ceil(GUTTER + cell * count + 2)
  const height = data.n_layers * (band + BAND_GAP)
  const ratio = window.devicePixelRatio || 1
  view.cell = cell
  view.row = row
  view.band = band
  canvas.width = Math.round(full * ratio)
  canvas.height = Math.round(height * ratio)
  canvas.style.width = `${full}px`
  canvas.style.height = `${height}px`
  canvas.setAttribute('aria-label', data.labels.alt)
  const paint = canvas.getContext('2d')
  paint.scale(ratio, ratio)
  paint.clearRect(0, 0, full, height)
  const shade = mixer(data.palette.sequential)
  const ramp = Array.from({ length: 256 }, (_, v) => `rgb(${shade(0.25 + (0.75 * Math.min(v, 254)) / 254).join(',')})`)
  paint.font = '600 12.5px "Source Sans", sans-serif'
  paint.textBaseline = 'middle'
  const gap = cell >= 10 ? 1 : 0.5
  for (let layer = 0; layer < data.n_layers; layer += 1) {
    const top = layer * (band + BAND_GAP)
    paint.fillStyle = data.palette.muted
    paint.fillText(`L${layer}`, 4, top + band / 2)
    paint.fillStyle = data.palette.off
    paint.fillRect(GUTTER, top, cell * count, band)
    for (let position = 0; position < count; position += 1) {
      const offset = (position * data.n_layers + layer) * data.n_experts
      for (let expert = 0; expert < data.n_experts; expert += 1) {
        if (view.active[offset + expert]) {
          paint.fillStyle = ramp[view.scores[offset + expert]]
          paint.fillRect(GUTTER + position * cell, top + expert * row, cell - gap, row - 0.6)
        }
      }
    }
  }
  if (data.selected >= 0 && data.selected < count) {
    paint.strokeStyle = data.palette.accent
    paint.lineWidth = 2
    for (let layer = 0; layer < data.n_layers; layer += 1) {
      const top = layer * (band + BAND_GAP)
      paint.strokeRect(GUTTER + data.selected * cell - 1, top - 1, cell + 1, band + 2)
    }
  }
}

function locate(view, event) {
  const box = view.canvas.getBoundingClientRect()
  const x = event.clientX - box.left - GUTTER
  const y = event.clientY - box.top
  const position = Math.floor(x / view.cell)
  const layer = Math.floor(y / (view.band + BAND_GAP))
  const expert = Math.floor((y - layer * (view.band + BAND_GAP)) / view.row)
  const { data } = view
  if (position < 0 || position >= data.tokens.length || layer < 0 || layer >= data.n_layers) return null
  return { position, layer, expert: Math.min(expert, data.n_experts - 1) }
}

function showTip(view, event) {
  const hit = locate(view, event)
  if (!hit) {
    view.tip.style.display = 'none'
    return
  }
  const { data, tip } = view
  const at = (hit.position * data.n_layers + hit.layer) * data.n_experts + hit.expert
  const shown = (byte) => (byte === 255 ? data.labels.unknown : (byte / 254).toFixed(2))
  const score = shown(view.scores[at])
  const threshold = shown(view.thresholds[at])
  const state = view.active[at] ? data.labels.tip_ran : data.labels.not_run
  tip.textContent = `${data.tokens[hit.position].text} · L${hit.layer} · E${hit.expert}\n${state}\n${data.labels.score} ${score} · ${data.labels.threshold} ${threshold}`
  tip.style.display = 'block'
  const frame = view.root.getBoundingClientRect()
  const left = event.clientX - frame.left + 14
  const limit = view.root.clientWidth - tip.offsetWidth - 6
  tip.style.left = `${Math.max(0, Math.min(left, limit))}px`
  tip.style.top = `${event.clientY - frame.top + 16}px`
}

function update(view, data) {
  const fresh = view.key !== data.key
  view.data = data
  view.key = data.key
  const { palette } = data
  for (const name of ['ink', 'muted', 'border', 'card', 'accent', 'primary']) {
    view.root.style.setProperty(`--rl-${name}`, palette[name])
  }
  view.scroll.style.display = data.chips_only ? 'none' : ''
  view.legend.style.display = data.chips_only ? 'none' : ''
  if (fresh) {
    view.scores = decode(data.scores)
    view.thresholds = decode(data.thresholds)
    view.active = decode(data.active)
    fillChips(view)
    fillLegend(view)
  }
  view.buttons.forEach((button, position) => {
    const pressed = position === data.selected
    button.setAttribute('aria-pressed', String(pressed))
    button.tabIndex = pressed || (data.selected < 0 && position === 0) ? 0 : -1
  })
  draw(view)
}

export default function routingCanvas(component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector('.rl-root')
  const send = (position) => setTriggerValue('token', position)
  if (!root.routelens) root.routelens = build(root, send)
  const view = root.routelens
  view.send = send
  update(view, data)
  return () => {
    view.observer.disconnect()
    root.replaceChildren()
    delete root.routelens
  }
}
