// One stock socket.io client for each person; the page only shows what arrives.
const KEEP = 8;

function person({ id, name, tenant, token }, hue) {
  const card = document.getElementById('person').content.cloneNode(true).firstElementChild;
  card.id = id;
  card.style.setProperty('--hue', hue);
  card.querySelector('.avatar').textContent = name[0];
  card.querySelector('h2').textContent = name;
  card.querySelector('.tenant').textContent = tenant;
  document.getElementById('people').append(card);

  const state = card.querySelector('.state');
  const show = (what, text = what) => { state.dataset.state = what; state.textContent = text; };
  const socket = io({ auth: { token }, forceNew: true });

  socket.on('connect', () => {
    const engine = socket.io.engine;
    show(engine.transport.name);
    engine.once('upgrade', (transport) => show(transport.name));
  });
  socket.on('disconnect', () => show('offline', 'reconnecting'));
  socket.on('connect_error', (error) => show('offline', socket.active ? 'reconnecting' : error.message));

  socket.on('notification:new', ({ message }) => add('notification:new', message));
  for (const what of ['created', 'updated', 'deleted']) {
    socket.on(`ticket:${what}`, (ticket) => add(`ticket:${what}`, `#${ticket.id} ${ticket.title} · ${ticket.status}`));
  }

  function add(event, text) {
    const item = document.createElement('li');
    const line = (className, content) => {
      const element = document.createElement('span');
      element.className = className;
      element.textContent = content;
      return element;
    };
    const what = document.createElement('div');
    what.className = 'what';
    what.append(line('name', event), line('time', new Date().toLocaleTimeString()));
    item.append(what, line('text', text));
    const feed = card.querySelector('.feed');
    feed.prepend(item);
    while (feed.children.length > KEEP) feed.lastChild.remove();
  }
}

const { users, try: command } = await (await fetch('config.json')).json();
document.getElementById('try').textContent = command;
document.getElementById('copy').addEventListener('click', (event) => {
  navigator.clipboard.writeText(command).then(() => { event.target.textContent = 'Copied'; });
});
users.forEach((user, i) => person(user, [215, 160, 20][i % 3]));
