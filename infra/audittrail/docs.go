package audittrail

import (
	_ "embed"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

//go:embed audittrail.go
var source string

// Docs are the doc comments of the arguments by their names in Pulumi, each on one line, for who offers the component to other
// languages.
func Docs() map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), "audittrail.go", source, parser.ParseComments)
	if err != nil {
		panic(err) // it is this package's own source
	}
	docs, renamed := map[string]string{}, []string{}
	ast.Inspect(f, func(n ast.Node) bool {
		t, ok := n.(*ast.TypeSpec)
		if !ok || t.Name.Name != "AuditTrailArgs" {
			return true
		}
		for _, field := range t.Type.(*ast.StructType).Fields.List {
			tag := reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("pulumi")
			name, _, _ := strings.Cut(tag, ",")
			in := field.Names[0].Name
			text := strings.Join(strings.Fields(field.Doc.Text()), " ")
			docs[name] = name + strings.TrimPrefix(text, in)
			if strings.ToLower(in[1:]) != in[1:] { // not a word of everyday
				renamed = append(renamed, in, name)
			}
		}
		return false
	})
	names := strings.NewReplacer(renamed...)
	for name, text := range docs {
		docs[name] = names.Replace(text)
	}
	return docs
}
