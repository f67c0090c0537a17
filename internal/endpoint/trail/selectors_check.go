package trail

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/catalog"
	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// The limits of a trail's selectors.
const (
	maxSelectors     = 5    // basic event selectors
	maxDataResources = 250  // values of all basic event selectors
	maxValues        = 500  // values of all advanced event selectors
	maxValueLength   = 2048 // characters of one
	maxSelectorName  = 1000
)

// otherTypes are the resource types of data events of services that aren't AI: what
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html lists besides.
const otherTypes = `
	AWS::APS::RuleGroupsNamespace AWS::APS::Workspace AWS::ACMPCA::CertificateAuthority AWS::AppConfig::Configuration
	AWS::AppSync::GraphQLApi AWS::ApiGateway::Stage AWS::B2BI::Transformer AWS::BackupSearch::SearchJob
	AWS::Cassandra::CqlVectorIndex AWS::Cassandra::Table AWS::CloudFront::KeyValueStore AWS::CloudTrail::Channel
	AWS::CloudWatch::Metric AWS::CodeDeploy::Deployment AWS::Cognito::IdentityPool AWS::DataExchange::Asset
	AWS::Deadline::Farm AWS::Deadline::Fleet AWS::Deadline::Queue AWS::Deadline::Worker AWS::DSQL::Cluster
	AWS::DynamoDB::Stream AWS::DynamoDB::Table AWS::EC2::Snapshot AWS::ECS::ContainerInstance AWS::ECR::Repository
	AWS::EKS::Cluster AWS::EMRWAL::Workspace AWS::FinSpace::Environment AWS::GameLift::Fleet AWS::Glue::Table
	AWS::GreengrassV2::ComponentVersion AWS::GreengrassV2::Deployment AWS::GuardDuty::Detector
	AWS::IoT::Certificate AWS::IoT::Thing AWS::IoTSiteWise::Asset AWS::IoTSiteWise::TimeSeries
	AWS::IoTTwinMaker::Entity AWS::IoTTwinMaker::Workspace AWS::KinesisVideo::Stream AWS::Kinesis::Stream
	AWS::Kinesis::StreamConsumer AWS::KMS::Key AWS::Lambda::Function AWS::Location::GeofenceCollection
	AWS::Logs::LogGroup AWS::MWAA::Environment AWS::ManagedBlockchain::Network AWS::ManagedBlockchain::Node
	AWS::MSK::Cluster AWS::PaymentCryptography::Alias AWS::PaymentCryptography::Key AWS::PCAConnectorAD::Connector
	AWS::PCAConnectorSCEP::Connector AWS::RDS::DBCluster AWS::RUM::AppMonitor AWS::S3::AccessPoint AWS::S3::Object
	AWS::S3Express::Object AWS::S3ObjectLambda::AccessPoint AWS::S3Outposts::Object AWS::S3Tables::Table
	AWS::S3Tables::TableBucket AWS::SCN::Instance AWS::SDB::Domain AWS::SES::ConfigurationSet
	AWS::SES::EmailIdentity AWS::SNS::PlatformEndpoint AWS::SNS::Topic AWS::SQS::Queue AWS::SSM::ManagedNode
	AWS::SSMMessages::ControlChannel AWS::SWF::Domain AWS::ServiceDiscovery::Namespace AWS::ServiceDiscovery::Service
	AWS::Signer::SigningJob AWS::Signer::SigningProfile AWS::SocialMessaging::PhoneNumberId AWS::StepFunctions::Activity
	AWS::StepFunctions::StateMachine AWS::SupplyChain::Instance AWS::ThinClient::Device AWS::ThinClient::Environment
	AWS::Timestream::Database AWS::Timestream::Table AWS::VerifiedPermissions::PolicyStore AWS::XRay::Trace`

// resourceTypes are the values that resources.type may have.
func resourceTypes() map[string]bool {
	types := map[string]bool{}
	for _, t := range append(catalog.DataTypes(), strings.Fields(otherTypes)...) {
		types[t] = true
	}
	return types
}

// CheckSelectors says what PutEventSelectors refuses of selectors; nil means nothing. The error's text is for the caller.
func CheckSelectors(s cloudtrail.Selectors) error {
	switch {
	case len(s.Basic) > 0 && len(s.Advanced) > 0:
		return fmt.Errorf("EventSelectors and AdvancedEventSelectors can't be given together; a trail uses one or the other")
	case len(s.Basic) == 0 && len(s.Advanced) == 0:
		return fmt.Errorf("EventSelectors or AdvancedEventSelectors must have at least one selector")
	case len(s.Basic) > 0:
		return checkBasic(s.Basic)
	}
	values, types := 0, resourceTypes()
	for i := range s.Advanced {
		a := &s.Advanced[i]
		if err := checkAdvanced(a, types); err != nil {
			return fmt.Errorf("advanced event selector %d (%q): %w", i+1, a.Name, err)
		}
		for j := range a.FieldSelectors {
			values += len(slices.Concat(operators(&a.FieldSelectors[j])...))
		}
	}
	if values > maxValues {
		return fmt.Errorf("the advanced event selectors have %d values; a trail can have %d", values, maxValues)
	}
	return nil
}

func checkBasic(selectors []cloudtrail.EventSelector) error {
	if len(selectors) > maxSelectors {
		return fmt.Errorf("a trail can have %d event selectors, not %d", maxSelectors, len(selectors))
	}
	values := 0
	for _, s := range selectors {
		if !slices.Contains([]string{"", "ReadOnly", "WriteOnly", "All"}, s.ReadWriteType) {
			return fmt.Errorf("ReadWriteType %q is not valid; it is ReadOnly, WriteOnly or All", s.ReadWriteType)
		}
		for _, source := range s.ExcludeManagementEventSources {
			if !excludable(source) {
				return fmt.Errorf("ExcludeManagementEventSources can't hold %q", source)
			}
		}
		for _, d := range s.DataResources {
			if !slices.Contains([]string{"AWS::S3::Object", "AWS::Lambda::Function", "AWS::DynamoDB::Table"}, d.Type) {
				return fmt.Errorf("DataResources.Type %q is not valid for event selectors; use advanced event selectors", d.Type)
			}
			for _, v := range d.Values {
				if !strings.HasPrefix(v, "arn:") || len(v) > maxValueLength {
					return fmt.Errorf("value %q for DataResources.Values is not an ARN or the beginning of one", v)
				}
			}
			values += len(d.Values)
		}
	}
	if values > maxDataResources {
		return fmt.Errorf("the event selectors have %d data resources; a trail can have %d", values, maxDataResources)
	}
	return nil
}

// excludable tells whether a trail can leave out the management events of an event source.
func excludable(source string) bool {
	return source == "kms.amazonaws.com" || source == "rdsdata.amazonaws.com"
}

// fieldsOf are the fields that a selector of a category may have; none for what is no category.
func fieldsOf(category string) []string {
	switch category {
	case cloudtrail.CategoryManagement:
		return []string{"eventCategory", "eventSource", "readOnly"}
	case cloudtrail.CategoryData:
		return []string{"eventCategory", "eventName", "eventSource", "eventType", "readOnly", "resources.ARN",
			"resources.type", "sessionCredentialFromConsole", "userIdentity.arn"}
	case cloudtrail.CategoryNetwork:
		return []string{"eventCategory", "errorCode", "eventName", "eventSource", "userIdentity.arn", "vpcEndpointId"}
	}
	return nil
}

func checkAdvanced(s *cloudtrail.AdvancedEventSelector, types map[string]bool) error {
	if len(s.Name) > maxSelectorName {
		return fmt.Errorf("a name has at most %d characters", maxSelectorName)
	}
	seen := map[string]*cloudtrail.FieldSelector{}
	for i := range s.FieldSelectors {
		f := &s.FieldSelectors[i]
		if seen[f.Field] != nil {
			return fmt.Errorf("field %s is given twice", f.Field)
		}
		seen[f.Field] = f
	}
	c := seen["eventCategory"]
	if c == nil || len(c.Equals) != 1 || fieldsOf(c.Equals[0]) == nil {
		return fmt.Errorf("field eventCategory must equal Management, Data or NetworkActivity")
	}
	kind := c.Equals[0]
	for i := range s.FieldSelectors {
		f := &s.FieldSelectors[i]
		if !slices.Contains(fieldsOf(kind), f.Field) {
			return fmt.Errorf("field %q can't be used for %s events", f.Field, kind)
		}
		if err := checkField(f, kind, types); err != nil {
			return err
		}
	}
	switch {
	case kind == cloudtrail.CategoryData && seen["resources.type"] == nil:
		return fmt.Errorf("field resources.type is missing")
	case kind == cloudtrail.CategoryNetwork && seen["eventSource"] == nil:
		return fmt.Errorf("field eventSource is missing")
	}
	return nil
}

func operators(f *cloudtrail.FieldSelector) [][]string {
	return [][]string{f.Equals, f.StartsWith, f.EndsWith, f.NotEquals, f.NotStartsWith, f.NotEndsWith}
}

func checkField(f *cloudtrail.FieldSelector, kind string, types map[string]bool) error {
	all := slices.Concat(operators(f)...)
	if len(all) == 0 {
		return fmt.Errorf("field %s has no operator with values", f.Field)
	}
	for _, v := range all {
		if v == "" || len(v) > maxValueLength {
			return fmt.Errorf("a value of field %s has %d characters, not 1 to %d", f.Field, len(v), maxValueLength)
		}
	}
	onlyEquals := len(f.Equals) == len(all)
	switch f.Field {
	case "eventCategory":
		if !onlyEquals {
			return fmt.Errorf("field eventCategory takes Equals only")
		}
	case "readOnly":
		if !onlyEquals || len(all) != 1 || all[0] != "true" && all[0] != "false" {
			return fmt.Errorf("field readOnly must equal true or false")
		}
	case "sessionCredentialFromConsole":
		if len(f.Equals)+len(f.NotEquals) != len(all) || len(all) != 1 || all[0] != "true" && all[0] != "false" {
			return fmt.Errorf("field sessionCredentialFromConsole takes Equals or NotEquals, with true or false")
		}
	case "resources.type":
		if !onlyEquals || len(all) != 1 {
			return fmt.Errorf("field resources.type must equal one value; use one selector for each type")
		}
		if !types[all[0]] {
			return fmt.Errorf("resources.type field value %q is not valid", all[0])
		}
	case "eventSource":
		return checkSource(f, kind, all)
	case "errorCode":
		if !onlyEquals || slices.ContainsFunc(all, func(v string) bool { return v != "VpceAccessDenied" }) {
			return fmt.Errorf("field errorCode must equal VpceAccessDenied")
		}
	}
	return nil
}

func checkSource(f *cloudtrail.FieldSelector, kind string, all []string) error {
	switch kind {
	case cloudtrail.CategoryManagement:
		if len(f.NotEquals) != len(all) || !slices.ContainsFunc(all, excludable) {
			return fmt.Errorf("field eventSource of management events takes NotEquals only, with kms.amazonaws.com or rdsdata.amazonaws.com")
		}
		for _, v := range all {
			if !excludable(v) {
				return fmt.Errorf("field eventSource of management events can't exclude %q", v)
			}
		}
	case cloudtrail.CategoryNetwork:
		if len(f.Equals) != len(all) || len(all) != 1 || !strings.HasSuffix(all[0], ".amazonaws.com") {
			return fmt.Errorf("field eventSource of network activity events must equal one event source; use one selector for each")
		}
		if !hasNetworkEvents(all[0]) {
			return fmt.Errorf("eventSource field value %q is not valid: the service has no network activity events", all[0])
		}
	}
	return nil
}

// hasNetworkEvents tells whether network activity events of an event source can be selected. Of services that aren't AI's
// it is taken to be so.
func hasNetworkEvents(source string) bool {
	known := false
	services := catalog.Services()
	for i := range services {
		if slices.Contains(services[i].NetworkSources, source) {
			return true
		}
		known = known || slices.Contains(services[i].EventSources, source)
	}
	return !known
}
