/** What the option tables and the TSDoc of the options interfaces say of each option, read by TypeScript itself. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

export interface DescribedOption {
  readonly name: string;
  readonly type: string;
  readonly default: string;
  readonly isRequired: boolean;
  readonly text: string;
  /** Where it is declared: two options of one source are the same. */
  readonly source: string;
}

export interface DescribedTable {
  readonly options: readonly DescribedOption[];
}

/**
 * @param tables every option table, by its name in src
 * @throws Error that names every option without a sentence, or with neither a default nor a need to be given
 */
export function readOptionTables(
  tables: Readonly<Record<string, object>>,
): ReadonlyMap<string, DescribedTable> {
  const program = programOfSrc();
  const checker = program.getTypeChecker();
  const faults: string[] = [];
  const described = Object.entries(tables).map(([name, table]): [string, DescribedTable] => {
    const properties = new Map(
      checker
        .getTypeFromTypeNode(interfaceOf(program, name))
        .getProperties()
        .map((each) => [each.name, each]),
    );
    const options = Object.keys(table).map((option) =>
      describe(checker, properties.get(option)!, `${name}.${option}`, faults),
    );
    return [name, { options }];
  });
  if (faults.length > 0) throw new Error(`the TSDoc of options is not whole:\n${faults.join('\n')}`);
  return new Map(described);
}

function programOfSrc(): ts.Program {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: object;
  };
  const { options, fileNames } = ts.parseJsonConfigFileContent({ ...config, include: ['src'] }, ts.sys, ROOT);
  return ts.createProgram(fileNames, options);
}

/** The interface that a table says it satisfies: `} satisfies OptionTable<RunOptions>`. */
function interfaceOf(program: ts.Program, table: string): ts.TypeNode {
  for (const file of program.getSourceFiles()) {
    if (file.isDeclarationFile) continue;
    for (const statement of file.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      for (const { name, initializer } of statement.declarationList.declarations) {
        if (!ts.isIdentifier(name) || name.text !== table) continue;
        const type = initializer && ts.isSatisfiesExpression(initializer) ? initializer.type : undefined;
        const of = type && ts.isTypeReferenceNode(type) ? type.typeArguments?.[0] : undefined;
        if (of) return of;
      }
    }
  }
  throw new Error(`${table} does not say which interface it satisfies: "satisfies OptionTable<...>"`);
}

function describe(
  checker: ts.TypeChecker,
  option: ts.Symbol,
  where: string,
  faults: string[],
): DescribedOption {
  const text = sentence(ts.displayPartsToString(option.getDocumentationComment(checker)));
  const tag = option.getJsDocTags(checker).find(({ name }) => name === 'default');
  const standard = tag && sentence(ts.displayPartsToString(tag.text));
  const isRequired = (option.flags & ts.SymbolFlags.Optional) === 0;
  const declaration = option.declarations?.find(ts.isPropertySignature);
  if (text === '') faults.push(`${where}: no sentence says what it is for`);
  if (!isRequired && !standard) faults.push(`${where}: no @default, and it need not be given`);
  if (isRequired && standard) faults.push(`${where}: a @default, and it must be given`);
  if (!declaration?.type) throw new Error(`${where} is declared in a way that this script does not know`);
  return {
    name: option.name,
    type: new TypeText(checker).of(declaration.type),
    default: standard ? literalFirst(standard) : '',
    isRequired,
    text,
    source: `${declaration.getSourceFile().fileName}:${declaration.pos}`,
  };
}

/** One line, with names in the place of links. */
const sentence = (text: string): string =>
  text
    .replace(/\{@link (\w+)\s*\}/g, '`$1`')
    .replace(/\s+/g, ' ')
    .trim();

/** A literal at the beginning as code. */
const literalFirst = (text: string): string =>
  text.replace(/^('[^']*'|\d+|true|false|\[[^\]]*\]|\{\}|process\.[\w.]+(?: \|\| '[^']*')?)/, '`$1`');

/** A type as people read it: unions in the order of the source, functions by the names of their parameters. */
class TypeText {
  constructor(private readonly checker: ts.TypeChecker) {}

  of(node: ts.TypeNode): string {
    return this.#parts(node)
      .map((part) => `\`${part}\``.replace(/(, or a promise of it)`$/, '`$1'))
      .join(' or ');
  }

  #parts(node: ts.TypeNode): string[] {
    if (ts.isUnionTypeNode(node)) return [...new Set(node.types.flatMap((each) => this.#parts(each)))];
    if (ts.isParenthesizedTypeNode(node)) return this.#parts(node.type);
    const type = this.checker.getTypeFromTypeNode(node);
    const [signature] = type.getCallSignatures();
    if (signature && type.getProperties().length === 0) return [this.#functionText(signature, node)];
    const alias = this.#declarationOf(node);
    if (alias) return this.#parts(alias);
    const literals = type.isUnion() ? type.types.filter((each) => each.isStringLiteral()) : [];
    if (type.isUnion() && literals.length === type.types.length)
      return literals.map(({ value }) => `'${value}'`).sort();
    return [node.getText().replace(/<(unknown|[A-Z])>$/, '')];
  }

  /** What stands behind `Remember<unknown>` or `IdempotencyOptions['codec']`, where that says more than its name. */
  #declarationOf(node: ts.TypeNode): ts.TypeNode | undefined {
    if (ts.isIndexedAccessTypeNode(node) && ts.isLiteralTypeNode(node.indexType)) {
      const { literal } = node.indexType;
      const member = ts.isStringLiteral(literal) ? literal.text : '';
      const property = this.checker.getTypeFromTypeNode(node.objectType).getProperty(member);
      return property?.declarations?.find(ts.isPropertySignature)?.type;
    }
    if (!ts.isTypeReferenceNode(node) || node.typeName.getText() === 'Duration') return undefined;
    const symbol = this.checker.getSymbolAtLocation(node.typeName);
    const target =
      symbol && symbol.flags & ts.SymbolFlags.Alias ? this.checker.getAliasedSymbol(symbol) : symbol;
    const alias = target?.declarations?.find(ts.isTypeAliasDeclaration);
    const isPlain =
      alias && ts.isUnionTypeNode(alias.type) && !alias.type.types.some(ts.isConstructorTypeNode);
    return isPlain ? alias.type : undefined;
  }

  #functionText(signature: ts.Signature, node: ts.TypeNode): string {
    const names = signature.getParameters().map((parameter) => {
      const declaration = parameter.valueDeclaration;
      const isRest = declaration && ts.isParameter(declaration) && declaration.dotDotDotToken;
      return { name: parameter.name, isRest };
    });
    const shown = names.length > 1 ? names.filter(({ isRest }) => !isRest) : names;
    const parameters = shown.map(({ name, isRest }) => (isRest ? `...${name}` : name));
    const { result, orPromise } = this.#result(signature.getReturnType(), node);
    return `(${parameters.join(', ')}) => ${result}${orPromise ? ', or a promise of it' : ''}`;
  }

  /** The order of a union's members is the compiler's own, and may change: it is sorted. */
  #result(type: ts.Type, node: ts.TypeNode): { result: string; orPromise: boolean } {
    const text = this.checker
      .typeToString(type, node, ts.TypeFormatFlags.NoTruncation)
      .replace(/import\("[^"]*"\)\./g, '')
      .replace(/NoInfer<(\w+)>/g, '$1');
    const parts = topLevelParts(text);
    const plain = parts.filter((part) => !part.startsWith('Promise<'));
    if (plain.length === 0) return { result: text, orPromise: false };
    return { result: plain.sort().join(' | '), orPromise: plain.length < parts.length };
  }
}

/** The members of a union, as they stand in its text. */
function topLevelParts(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  for (const word of text.replaceAll('=>', '\u21d2').split(' | ')) {
    if (depth > 0) parts.push(`${parts.pop()} | ${word}`);
    else parts.push(word);
    for (const character of word) {
      if ('<({['.includes(character)) depth++;
      if ('>)}]'.includes(character)) depth--;
    }
  }
  return parts.map((part) => part.replaceAll('\u21d2', '=>'));
}
