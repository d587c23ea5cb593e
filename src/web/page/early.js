// Asks for what there is to see while the page's own script, which is larger, is still on its way; page.js takes over.

window.early = { source: new EventSource("/api/live"), frames: [] };
window.early.source.onmessage = (event) => window.early.frames.push(event.data);
