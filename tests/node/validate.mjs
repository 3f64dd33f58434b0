// Validates the AsyncAPI document of argv[2] with its official parser; prints every complaint.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const one of diagnostics) console.log(`${one.severity} ${one.path.join(".")}: ${one.message}`);
if (document) console.log(`valid: ${document.channels().length} channels, ${document.operations().length} operations`);
process.exit(document && diagnostics.every((one) => one.severity > 1) ? 0 : 1);
