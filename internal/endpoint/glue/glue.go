// Package glue is the endpoint's AWS Glue, as far as the Data Catalog's databases and tables go: they are kept and given
// back as they were put, and a table is updated only upon the version that the caller names. That is what Iceberg's
// catalogs need. There are no partitions, crawlers or jobs, and no permissions but IAM's.
package glue

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/rpc"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Options are what a Service needs. Account and State are required.
type Options struct {
	Account string
	State   *state.Store
	Now     func() time.Time // nil: time.Now
}

// Service is Glue behind the endpoint; it implements awsapi.Service. Its methods may be called concurrently.
type Service struct {
	rpc.API
	opts Options
}

var _ awsapi.Service = (*Service)(nil)

// Buckets of the state store: REGION/DATABASE → Database, REGION/DATABASE/TABLE → Table.
const (
	databases = "glue.databases"
	tables    = "glue.tables"
)

// New returns the service with what the state has.
func New(opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Service{opts: opts}
	s.API = rpc.API{
		Signing: "glue", EventSource: "glue.amazonaws.com", JSON: awsapi.JSON11,
		Operations: map[string]rpc.Operation{
			"CreateDatabase": rpc.Op(s.createDatabase),
			"DeleteDatabase": rpc.Op(s.deleteDatabase),
			"GetDatabase":    rpc.Read(s.getDatabase),
			"GetDatabases":   rpc.Read(s.getDatabases),
			"UpdateDatabase": rpc.Op(s.updateDatabase),
			"CreateTable":    rpc.Op(s.createTable),
			"DeleteTable":    rpc.Op(s.deleteTable),
			"GetTable":       rpc.Read(s.getTable),
			"GetTables":      rpc.Read(s.getTables),
			"UpdateTable":    rpc.Op(s.updateTable),
		},
	}
	return s
}

func fail(code, format string, args ...any) error {
	return &awsapi.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// request is the input of every operation: each has some of the members.
type request struct {
	CatalogID     string `aws:"CatalogId"`
	Name          string
	DatabaseName  string
	DatabaseInput *database
	TableInput    *table
	VersionID     string `aws:"VersionId"`
	SkipArchive   bool
	NextToken     string
	MaxResults    int
}

// database is a database as it is put, stored and described.
type database struct {
	Name        string
	Description string
	LocationURI string `aws:"LocationUri"`
	Parameters  map[string]string
	CreateTime  time.Time
	CatalogID   string `aws:"CatalogId"`
}

type column struct {
	Name, Type, Comment string
	Parameters          map[string]string
}

type serde struct {
	Name, SerializationLibrary string
	Parameters                 map[string]string
}

type storage struct {
	Columns                   []column
	Location                  string
	AdditionalLocations       []string
	InputFormat, OutputFormat string
	SerdeInfo                 *serde
	Parameters                map[string]string
}

// table is a table as it is put, stored and described.
type table struct {
	Name, DatabaseName                 string
	Description, Owner, TableType      string
	Retention                          int
	StorageDescriptor                  *storage
	PartitionKeys                      []column
	Parameters                         map[string]string
	ViewOriginalText, ViewExpandedText string
	CreateTime, UpdateTime             time.Time
	CatalogID                          string `aws:"CatalogId"`
	VersionID                          string `aws:"VersionId"`
}

func (s *Service) arn(region, resource string) string {
	partition := "aws"
	if strings.HasPrefix(region, "cn-") {
		partition = "aws-cn"
	} else if strings.HasPrefix(region, "us-gov-") {
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":glue:" + region + ":" + s.opts.Account + ":" + resource
}

// Describe implements awsapi.Service.
func (s *Service) Describe(c *awsapi.Call) { s.API.Describe(c) }

// Access implements awsapi.Service: an action on a table is one on its database and the catalog too.
func (s *Service) Access(c *awsapi.Call) []awsapi.Access {
	in, _ := s.Input(c) // what can't be read is refused by Serve
	r, _ := in.(*request)
	action := "glue:" + c.Operation
	list := []awsapi.Access{{Action: action, Resource: s.arn(c.Region, "catalog")}}
	if r == nil {
		return list
	}
	db, name := r.target(c.Operation)
	if db != "" {
		list = append(list, awsapi.Access{Action: action, Resource: s.arn(c.Region, "database/"+db)})
	}
	if strings.HasSuffix(c.Operation, "Tables") {
		name = "*"
	}
	if name != "" {
		list = append(list, awsapi.Access{Action: action, Resource: s.arn(c.Region, "table/"+db+"/"+name)})
	}
	return list
}

// target returns the database and the table that an operation is about. The catalog's names are in lower case.
func (r *request) target(operation string) (db, name string) {
	if strings.Contains(operation, "Table") {
		db, name = r.DatabaseName, r.Name
		if r.TableInput != nil {
			name = r.TableInput.Name
		}
	} else {
		db = r.Name
		if db == "" && r.DatabaseInput != nil {
			db = r.DatabaseInput.Name
		}
	}
	return strings.ToLower(db), strings.ToLower(name)
}

var validName = regexp.MustCompile(`^[^/\x00-\x1f]{1,255}$`)

// run runs do with the database and table that the request is about, in one transaction.
func (s *Service) run(c *awsapi.Call, in *request, do func(tx *state.Tx, db, name string) error) (any, error) {
	db, name := in.target(c.Operation)
	for _, n := range []string{db, name} {
		if !validName.MatchString(n) && (n != "" || strings.Contains(c.Operation, "Table")) {
			return nil, fail("InvalidInputException", "the name %q is not one", n)
		}
	}
	if in.CatalogID != "" && in.CatalogID != s.opts.Account {
		return nil, fail("EntityNotFoundException", "Catalog %s not found.", in.CatalogID)
	}
	transact := s.opts.State.Update
	if s.Operations[c.Operation].ReadOnly {
		transact = s.opts.State.View
	}
	return nil, transact(func(tx *state.Tx) error { return do(tx, db, name) })
}

func (s *Service) database(tx *state.Tx, region, name string) (d database, err error) {
	found, err := tx.Get(databases, region+"/"+name, &d)
	if err == nil && !found {
		err = fail("EntityNotFoundException", "Database %s not found.", name)
	}
	return d, err
}

func (s *Service) table(tx *state.Tx, region, db, name string) (t table, err error) {
	if _, err := s.database(tx, region, db); err != nil {
		return t, err
	}
	found, err := tx.Get(tables, region+"/"+db+"/"+name, &t)
	if err == nil && !found {
		err = fail("EntityNotFoundException", "Entity Not Found")
	}
	return t, err
}

func (s *Service) createDatabase(c *awsapi.Call, in *request) (any, error) {
	if in.DatabaseInput == nil {
		return nil, fail("InvalidInputException", "DatabaseInput is required.")
	}
	return s.run(c, in, func(tx *state.Tx, db, _ string) error {
		if found, err := tx.Get(databases, c.Region+"/"+db, new(database)); err != nil || found {
			return cmp.Or(err, fail("AlreadyExistsException", "Database already exists."))
		}
		d := *in.DatabaseInput
		d.Name, d.CreateTime, d.CatalogID = db, s.opts.Now().UTC(), s.opts.Account
		return tx.Put(databases, c.Region+"/"+db, d)
	})
}

func (s *Service) updateDatabase(c *awsapi.Call, in *request) (any, error) {
	if in.DatabaseInput == nil {
		return nil, fail("InvalidInputException", "DatabaseInput is required.")
	}
	return s.run(c, in, func(tx *state.Tx, db, _ string) error {
		old, err := s.database(tx, c.Region, db)
		if err != nil {
			return err
		}
		d := *in.DatabaseInput
		d.Name, d.CreateTime, d.CatalogID = old.Name, old.CreateTime, old.CatalogID
		return tx.Put(databases, c.Region+"/"+db, d)
	})
}

// deleteDatabase deletes the tables with it, as Glue does.
func (s *Service) deleteDatabase(c *awsapi.Call, in *request) (any, error) {
	return s.run(c, in, func(tx *state.Tx, db, _ string) error {
		if _, err := s.database(tx, c.Region, db); err != nil {
			return err
		}
		all, err := state.ListTx[table](tx, tables, c.Region+"/"+db+"/")
		if err != nil {
			return err
		}
		for _, t := range all {
			if err := tx.Delete(tables, t.Key); err != nil {
				return err
			}
		}
		return tx.Delete(databases, c.Region+"/"+db)
	})
}

func (s *Service) getDatabase(c *awsapi.Call, in *request) (any, error) {
	var d database
	_, err := s.run(c, in, func(tx *state.Tx, db, _ string) (err error) {
		d, err = s.database(tx, c.Region, db)
		return err
	})
	return &struct{ Database database }{d}, err
}

type databasesOutput struct {
	DatabaseList []database `aws:",keep"`
}

func (s *Service) getDatabases(c *awsapi.Call, _ *request) (any, error) {
	all, err := state.List[database](s.opts.State, databases, c.Region+"/")
	out := &databasesOutput{}
	for _, e := range all {
		out.DatabaseList = append(out.DatabaseList, e.Value)
	}
	return out, err
}

func (s *Service) createTable(c *awsapi.Call, in *request) (any, error) {
	if in.TableInput == nil {
		return nil, fail("InvalidInputException", "TableInput is required.")
	}
	return s.run(c, in, func(tx *state.Tx, db, name string) error {
		if _, err := s.database(tx, c.Region, db); err != nil {
			return err
		}
		if found, err := tx.Get(tables, c.Region+"/"+db+"/"+name, new(table)); err != nil || found {
			return cmp.Or(err, fail("AlreadyExistsException", "Table already exists."))
		}
		return s.put(tx, c.Region, *in.TableInput, table{Name: name, DatabaseName: db, CreateTime: s.opts.Now().UTC(), VersionID: "-1"})
	})
}

// put stores what a caller gave of a table in the place of an old one, as the next version.
func (s *Service) put(tx *state.Tx, region string, t, old table) error {
	version, err := strconv.Atoi(old.VersionID)
	if err != nil {
		return err
	}
	t.Name, t.DatabaseName, t.CatalogID = old.Name, old.DatabaseName, s.opts.Account
	t.CreateTime, t.UpdateTime, t.VersionID = old.CreateTime, s.opts.Now().UTC(), strconv.Itoa(version+1)
	return tx.Put(tables, region+"/"+t.DatabaseName+"/"+t.Name, t)
}

// updateTable changes a table, upon the version that the caller names if he names one.
func (s *Service) updateTable(c *awsapi.Call, in *request) (any, error) {
	if in.TableInput == nil {
		return nil, fail("InvalidInputException", "TableInput is required.")
	}
	return s.run(c, in, func(tx *state.Tx, db, name string) error {
		old, err := s.table(tx, c.Region, db, name)
		if err != nil {
			return err
		}
		if in.VersionID != "" && in.VersionID != old.VersionID {
			return fail("ConcurrentModificationException", "Update table failed due to concurrent modifications.")
		}
		return s.put(tx, c.Region, *in.TableInput, old)
	})
}

func (s *Service) deleteTable(c *awsapi.Call, in *request) (any, error) {
	return s.run(c, in, func(tx *state.Tx, db, name string) error {
		if _, err := s.table(tx, c.Region, db, name); err != nil {
			return err
		}
		return tx.Delete(tables, c.Region+"/"+db+"/"+name)
	})
}

func (s *Service) getTable(c *awsapi.Call, in *request) (any, error) {
	var t table
	_, err := s.run(c, in, func(tx *state.Tx, db, name string) (err error) {
		t, err = s.table(tx, c.Region, db, name)
		return err
	})
	return &struct{ Table table }{t}, err
}

type tablesOutput struct {
	TableList []table `aws:",keep"`
	NextToken string
}

func (s *Service) getTables(c *awsapi.Call, in *request) (any, error) {
	out := &tablesOutput{}
	db, _ := in.target(c.Operation)
	err := s.opts.State.View(func(tx *state.Tx) error {
		if _, err := s.database(tx, c.Region, db); err != nil {
			return err
		}
		all, err := state.ListTx[table](tx, tables, c.Region+"/"+db+"/")
		for _, e := range all {
			if e.Value.Name <= in.NextToken {
				continue
			}
			if len(out.TableList) == cmp.Or(in.MaxResults, 100) {
				out.NextToken = out.TableList[len(out.TableList)-1].Name
				break
			}
			out.TableList = append(out.TableList, e.Value)
		}
		return err
	})
	return out, err
}
