package iam

import "time"

// administrator is what AdministratorAccess allows.
const administrator = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// awsManaged returns the policies of AWS that the endpoint knows. They allow what their namesakes allow of the services
// the endpoint has; AWS's own texts list further services.
func awsManaged() map[string]*managed {
	policies := map[string]*managed{}
	created := time.Date(2015, 2, 6, 18, 39, 46, 0, time.UTC)
	for name, statements := range map[string]string{
		"AdministratorAccess": `{"Effect":"Allow","Action":"*","Resource":"*"}`,
		"PowerUserAccess": `{"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},` +
			`{"Effect":"Allow","Action":["account:GetAccountInformation","account:ListRegions","iam:CreateServiceLinkedRole","iam:DeleteServiceLinkedRole","iam:ListRoles","organizations:DescribeOrganization"],"Resource":"*"}`,
		"IAMFullAccess":          `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`,
		"IAMReadOnlyAccess":      `{"Effect":"Allow","Action":["iam:Get*","iam:List*","iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"],"Resource":"*"}`,
		"AmazonS3FullAccess":     `{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}`,
		"AmazonS3ReadOnlyAccess": `{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}`,
		"AmazonBedrockFullAccess": `{"Effect":"Allow","Action":["bedrock:*"],"Resource":"*"},` +
			`{"Effect":"Allow","Action":["kms:DescribeKey"],"Resource":"arn:*:kms:*:::*"},` +
			`{"Effect":"Allow","Action":["iam:ListRoles"],"Resource":"*"}`,
		"AmazonBedrockReadOnly":        `{"Effect":"Allow","Action":["bedrock:Get*","bedrock:List*"],"Resource":"*"}`,
		"AmazonBedrockLimitedAccess":   `{"Effect":"Allow","Action":["bedrock:Get*","bedrock:List*","bedrock:CallWithBearerToken","bedrock:InvokeModel","bedrock:InvokeModelWithResponseStream","bedrock:ApplyGuardrail","bedrock:CreateModelInvocationJob","bedrock:StopModelInvocationJob","bedrock:BatchDeleteEvaluationJob","bedrock:CreateEvaluationJob"],"Resource":"*"}`,
		"AmazonSageMakerFullAccess":    `{"Effect":"Allow","Action":["sagemaker:*"],"Resource":"*"}`,
		"ComprehendFullAccess":         `{"Effect":"Allow","Action":["comprehend:*"],"Resource":"*"}`,
		"AmazonRekognitionFullAccess":  `{"Effect":"Allow","Action":["rekognition:*"],"Resource":"*"}`,
		"AmazonTextractFullAccess":     `{"Effect":"Allow","Action":["textract:*"],"Resource":"*"}`,
		"TranslateFullAccess":          `{"Effect":"Allow","Action":["translate:*"],"Resource":"*"}`,
		"AmazonPollyFullAccess":        `{"Effect":"Allow","Action":["polly:*"],"Resource":"*"}`,
		"AmazonTranscribeFullAccess":   `{"Effect":"Allow","Action":["transcribe:*"],"Resource":"*"}`,
		"CloudWatchLogsFullAccess":     `{"Effect":"Allow","Action":["logs:*","cloudwatch:GenerateQuery"],"Resource":"*"}`,
		"CloudWatchLogsReadOnlyAccess": `{"Effect":"Allow","Action":["logs:Describe*","logs:Get*","logs:List*","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","logs:FilterLogEvents"],"Resource":"*"}`,
		"AWSCloudTrail_FullAccess":     `{"Effect":"Allow","Action":["cloudtrail:*"],"Resource":"*"}`,
		"AWSCloudTrail_ReadOnlyAccess": `{"Effect":"Allow","Action":["cloudtrail:Get*","cloudtrail:Describe*","cloudtrail:List*","cloudtrail:LookupEvents"],"Resource":"*"}`,
	} {
		m := &managed{
			Name: name, Path: "/", ID: "ANPA" + stableID(name), ARN: "arn:aws:iam::aws:policy/" + name,
			Created: created, Updated: created, aws: true,
		}
		m.Default = m.add(`{"Version":"2012-10-17","Statement":[`+statements+`]}`, created).ID
		policies[m.ARN] = m
	}
	return policies
}

// stableID derives the 17 letters and digits of an id from a name.
func stableID(name string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	h := hashOf(name)
	id := make([]byte, 17)
	for i := range id {
		id[i] = letters[(h[2*i]*16+h[2*i+1])%32]
	}
	return string(id)
}
