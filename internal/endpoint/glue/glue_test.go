package glue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/glue"
	"github.com/aitrail/aitrail/internal/endpoint/rpc/rpctest"
)

// TestCatalog puts, updates, lists and deletes databases and tables.
func TestCatalog(t *testing.T) {
	s := glue.New(glue.Options{Account: rpctest.Account, State: rpctest.State(t)})
	do := func(operation, body string, want ...string) {
		t.Helper()
		_, got, err := rpctest.JSON(s, operation, body)
		if err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %s in %s", operation, w, got)
			}
		}
	}
	refused := func(code, operation, body string) {
		t.Helper()
		_, got, err := rpctest.JSON(s, operation, body)
		var e *awsapi.Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: %s, %v; want %s", operation, got, err, code)
		}
	}
	put := func(version, location string) string {
		return `{"DatabaseName":"D","VersionId":"` + version + `","TableInput":{"Name":"T","TableType":"EXTERNAL_TABLE","Parameters":{"metadata_location":"` + location + `"},
			"StorageDescriptor":{"Location":"s3://b/t","Columns":[{"Name":"eventTime","Type":"timestamp","Parameters":{"iceberg.field.id":"3"}}]}}}`
	}
	refused("EntityNotFoundException", "GetDatabase", `{"Name":"d"}`)
	refused("EntityNotFoundException", "CreateTable", put("", "1"))
	refused("InvalidInputException", "CreateDatabase", `{}`)
	refused("InvalidInputException", "CreateDatabase", `{"DatabaseInput":{"Name":"a/b"}}`)
	do("CreateDatabase", `{"DatabaseInput":{"Name":"D","LocationUri":"s3://b/","Parameters":{"k":"v"}}}`)
	refused("AlreadyExistsException", "CreateDatabase", `{"DatabaseInput":{"Name":"d"}}`)
	do("UpdateDatabase", `{"Name":"d","DatabaseInput":{"Name":"d","LocationUri":"s3://b/lake"}}`)
	do("GetDatabases", `{}`, `"Name":"d"`, `"LocationUri":"s3://b/lake"`)

	refused("EntityNotFoundException", "GetTable", `{"DatabaseName":"d","Name":"t"}`)
	do("CreateTable", put("", "1"))
	refused("AlreadyExistsException", "CreateTable", put("", "1"))
	do("GetTable", `{"DatabaseName":"d","Name":"t"}`, `"VersionId":"0"`, `"metadata_location":"1"`, `"Name":"eventTime"`, `"iceberg.field.id":"3"`)
	do("UpdateTable", put("0", "2"))
	refused("ConcurrentModificationException", "UpdateTable", put("0", "3"))
	do("UpdateTable", put("", "4"))
	do("GetTable", `{"DatabaseName":"d","Name":"t"}`, `"VersionId":"2"`, `"metadata_location":"4"`)
	do("CreateTable", `{"DatabaseName":"d","TableInput":{"Name":"u"}}`)
	do("GetTables", `{"DatabaseName":"d","MaxResults":1}`, `"Name":"t"`, `"NextToken":"t"`)
	do("GetTables", `{"DatabaseName":"d","NextToken":"t"}`, `"TableList":[{"Name":"u"`)

	do("DeleteTable", `{"DatabaseName":"d","Name":"u"}`)
	refused("EntityNotFoundException", "DeleteTable", `{"DatabaseName":"d","Name":"u"}`)
	do("DeleteDatabase", `{"Name":"d"}`)
	do("CreateDatabase", `{"DatabaseInput":{"Name":"d"}}`)
	refused("EntityNotFoundException", "GetTable", `{"DatabaseName":"d","Name":"t"}`)
}

// TestAccess names the resources that IAM decides on.
func TestAccess(t *testing.T) {
	s := glue.New(glue.Options{Account: rpctest.Account, State: rpctest.State(t)})
	for _, c := range []struct{ operation, body, want string }{
		{"GetTable", `{"DatabaseName":"d","Name":"t"}`, "catalog database/d table/d/t"},
		{"GetTables", `{"DatabaseName":"d"}`, "catalog database/d table/d/*"},
		{"UpdateTable", `{"DatabaseName":"d","TableInput":{"Name":"t"}}`, "catalog database/d table/d/t"},
		{"CreateDatabase", `{"DatabaseInput":{"Name":"d"}}`, "catalog database/d"},
		{"GetDatabases", `{}`, "catalog"},
	} {
		call, _, _ := rpctest.JSON(s, c.operation, c.body)
		var got []string
		for _, a := range s.Access(call) {
			if a.Action != "glue:"+c.operation {
				t.Errorf("action %s", a.Action)
			}
			_, resource, _ := strings.Cut(a.Resource, rpctest.Account+":")
			got = append(got, resource)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.operation, got, c.want)
		}
	}
}
