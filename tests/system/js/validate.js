// Read AsyncAPI documents with the official parser; print what it found in each as a line of JSON.
const { Parser, fromFile } = require('@asyncapi/parser');

const parser = new Parser();

async function validate(path) {
  const { document, diagnostics } = await fromFile(parser, path).parse();
  const messages = document ? document.allMessages().all() : [];
  const kinds = messages.map((message) => {
    const payload = message.payload().json();
    return [message.id(), payload.schema ? payload.schema.$id : null];
  });
  const said = diagnostics.map(({ severity, code, message, path: at }) => ({
    severity, code, message, at: at.join('.'),
  }));
  console.log(JSON.stringify({ valid: Boolean(document), diagnostics: said, messages: kinds }));
}

async function main(paths) {
  for (const path of paths) await validate(path);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
