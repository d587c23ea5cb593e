// What the page for the password says beside the form: why it is there again, and whether the way is safe.

const wrong = document.getElementById("wrong");
const why = location.search.slice(1);
if (why === "wrong") wrong.textContent = "That was not the password.";
if (why === "wait") wrong.textContent = "Too many wrong passwords. Wait a while, then try again.";
wrong.hidden = wrong.textContent === "";

const here = ["localhost", "127.0.0.1", "[::1]"];
document.getElementById("plain").hidden = location.protocol === "https:" || here.includes(location.hostname);
