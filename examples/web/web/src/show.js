export async function show(id, url) {
  const answer = await fetch(url);
  document.getElementById(id).textContent = await answer.text();
}
