package importer

import (
	"slices"
	"strings"
)

// A node is a directive: words, and what stands in its braces.
type node struct {
	words []string
	body  []node
	block bool
	at    Origin
}

// name is the directive's keyword.
func (n node) name() string { return n.word(0) }

// word returns the word at i, "" where there is none.
func (n node) word(i int) string {
	if i < len(n.words) {
		return n.words[i]
	}
	return ""
}

// first returns the first directive of a name in a block.
func (n node) first(names ...string) (node, bool) {
	for _, c := range n.body {
		if slices.Contains(names, c.name()) {
			return c, true
		}
	}
	return node{}, false
}

// has reports whether a directive of the name is in a block.
func (n node) has(name string) bool {
	_, has := n.first(name)
	return has
}

// parseTree makes directives of lines.
func parseTree(lines []line, doc *document) []node {
	root := &node{}
	stack := []*node{root}
	for _, l := range lines {
		var words []string
		flush := func(block bool) {
			if len(words) == 0 && !block {
				return
			}
			top := stack[len(stack)-1]
			if last := len(top.body) - 1; len(words) == 0 && last >= 0 && !top.body[last].block {
				top.body[last].block = true // the brace stands on a line of its own
			} else {
				top.body = append(top.body, node{words: words, block: block, at: l.at})
			}
			words = nil
		}
		for _, t := range tokens(l.text) {
			switch {
			case t.brace && t.text == "{":
				flush(true)
				if top := stack[len(stack)-1]; len(stack) <= maxDepth {
					stack = append(stack, &top.body[len(top.body)-1])
				} else {
					doc.note(nil, Wrong, l.at, "blocks within blocks within blocks: left out")
					return root.body
				}
			case t.brace:
				flush(false)
				if len(stack) == 1 {
					doc.note(nil, Wrong, l.at, "a brace closes what is not open")
				} else {
					stack = stack[:len(stack)-1]
				}
			default:
				words = append(words, t.text)
			}
		}
		flush(false)
	}
	if len(stack) > 1 {
		doc.note(nil, Wrong, stack[len(stack)-1].at, "the block of %s is never closed", stack[len(stack)-1].name())
	}
	return root.body
}

// A token is a word, or a brace that no quotes are around.
type token struct {
	text  string
	brace bool
}

func tokens(l string) []token {
	var out []token
	var word strings.Builder
	open := false // a word has begun, which may be empty in quotes
	end := func() {
		if open {
			out = append(out, token{text: word.String()})
		}
		word.Reset()
		open = false
	}
	for i := 0; i < len(l); i++ {
		switch c := l[i]; c {
		case ' ', '\t', '\v', '\f':
			end()
		case '{', '}':
			end()
			out = append(out, token{string(c), true})
		case '"', '\'':
			open = true
			j := i + 1
			for ; j < len(l) && l[j] != c; j++ {
				if l[j] == '\\' && c == '"' && j+1 < len(l) {
					j++
				}
				word.WriteByte(l[j])
			}
			i = j
		case '\\':
			open = true
			if i++; i < len(l) {
				word.WriteByte(l[i])
			}
		default:
			open = true
			word.WriteByte(c)
		}
	}
	end()
	return out
}
