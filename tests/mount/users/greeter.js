export function greet(name) {
  return `Hello, ${name}!`;
}

export function twice(number) {
  return 2 * number;
}
